//! What real writers do and FFmpeg does not.

use super::boxes::{Node, each, each_list, leaf, len, parse, word, words, write};

/// `stz2` with entries of this many bits in place of `stsz`. For a file with its `moov` at the end.
pub(crate) fn compact_sizes(file: &[u8], bits: u8) -> Vec<u8> {
    let mut nodes = parse(file);
    each(&mut nodes, b"stsz", |node| {
        let own = word(&node.body, 4) == 0;
        let (count, same) = (word(&node.body, 8), word(&node.body, 4));
        let sizes: Vec<u32> =
            (0..count as usize).map(|i| if own { word(&node.body, 12 + 4 * i) } else { same }).collect();
        let mut body = words(&[0, bits.into(), count]);
        match bits {
            4 => body.extend(sizes.chunks(2).map(|pair| (pair[0] << 4 | pair.get(1).unwrap_or(&0)) as u8)),
            8 => body.extend(sizes.iter().map(|size| *size as u8)),
            _ => body.extend(sizes.iter().flat_map(|size| (*size as u16).to_be_bytes())),
        }
        if sizes.iter().all(|size| *size < 1 << bits) {
            *node = leaf(b"stz2", &body);
        }
    });
    write(&nodes)
}

/// `co64` in place of `stco`. For a file with its `moov` at the end.
pub(crate) fn long_offsets(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    each(&mut nodes, b"stco", |node| {
        let mut body = node.body[..8].to_vec();
        node.body[8..].chunks(4).for_each(|offset| body.extend([&[0; 4], offset].concat()));
        *node = leaf(b"co64", &body);
    });
    write(&nodes)
}

/// A size of 64 bits before the `mdat`, in the place of the `free` that FFmpeg leaves for it.
pub(crate) fn long_mdat(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(4).position(|w| w == b"mdat").expect("mdat") - 4;
    let size = u64::from(word(&file, at)) + 8;
    file[at - 8..at + 8].copy_from_slice(&[&words(&[1]), &b"mdat"[..], &size.to_be_bytes()].concat());
    file
}

/// An `mdat` that goes to the end. For a file with its `moov` in front.
pub(crate) fn endless_mdat(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(4).position(|w| w == b"mdat").expect("mdat") - 4;
    file[at..at + 4].fill(0);
    file
}

/// A second sample entry, used by the second half of the chunks. For a file with its `moov` at the end.
pub(crate) fn second_entry(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    each_list(&mut nodes, &mut |list| {
        let chunks = list.iter().find(|n| matches!(&n.kind, b"stco" | b"co64")).map(|n| word(&n.body, 4));
        let Some(chunks) = chunks else { return };
        for node in list {
            match &node.kind {
                b"stsd" => {
                    let entry = node.body[8..].to_vec();
                    node.body[7] = 2;
                    node.body.extend(entry);
                }
                b"stsc" => {
                    let runs: Vec<Vec<u32>> = node.body[8..]
                        .chunks(12)
                        .map(|run| (0..3).map(|i| word(run, 4 * i)).collect())
                        .collect();
                    let mut out = Vec::new();
                    for chunk in 1..=chunks {
                        let run = runs.iter().rev().find(|run| run[0] <= chunk).expect("a run");
                        out.extend([chunk, run[1], if chunk > chunks / 2 { 2 } else { 1 }]);
                    }
                    node.body = [words(&[0, chunks]), words(&out)].concat();
                }
                _ => {}
            }
        }
    });
    write(&nodes)
}

/// Half of the sync samples are partial ones (QuickTime's `stps`), as of open groups of pictures.
pub(crate) fn partial_sync(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    each_list(&mut nodes, &mut |list| {
        let Some(stss) = list.iter_mut().find(|node| node.kind == *b"stss") else { return };
        let numbers: Vec<u32> =
            (0..word(&stss.body, 4) as usize).map(|i| word(&stss.body, 8 + 4 * i)).collect();
        let half = |odd: usize| -> Vec<u8> {
            let half: Vec<u32> = numbers.iter().skip(odd).step_by(2).copied().collect();
            [words(&[0, half.len() as u32]), words(&half)].concat()
        };
        stss.body = half(0);
        list.push(leaf(b"stps", &half(1)));
    });
    write(&nodes)
}

/// The second sync sample is a random access point in a sample group instead.
pub(crate) fn random_access_group(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    each_list(&mut nodes, &mut |list| {
        let Some(stss) = list.iter_mut().find(|node| node.kind == *b"stss") else { return };
        let second = word(&stss.body, 12);
        stss.body.drain(12..16);
        add(&mut stss.body, 4, u32::MAX);
        list.push(leaf(b"sgpd", &[&words(&[0x0100_0000])[..], b"rap ", &words(&[1, 1]), &[0]].concat()));
        let runs = words(&[2, second - 1, 0, 1, 1]);
        list.push(leaf(b"sbgp", &[&words(&[0])[..], b"rap ", &runs].concat()));
    });
    write(&nodes)
}

/// Every sample is a sync sample, if the file is believed: no `stss`, no flags.
pub(crate) fn all_sync(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    each(&mut nodes, b"stss", |node| node.kind = *b"free");
    each(&mut nodes, b"tfhd", |tfhd| {
        if word(&tfhd.body, 0) & 0x20 != 0 {
            let at = tfhd.body.len() - 4;
            tfhd.body[at..].fill(0);
        }
    });
    each(&mut nodes, b"trun", |trun| {
        if word(&trun.body, 0) & 4 != 0 {
            trun.body[12..16].fill(0);
        }
    });
    write(&nodes)
}

/// Changes every `moof` and keeps its data where its runs say. For `default_base_moof`.
fn each_moof(file: &[u8], mut change: impl FnMut(&mut Node)) -> Vec<u8> {
    let mut nodes = parse(file);
    for moof in nodes.iter_mut().filter(|node| node.kind == *b"moof") {
        let before = len(std::slice::from_ref(moof));
        change(moof);
        let grown = (len(std::slice::from_ref(moof)) as u32).wrapping_sub(before as u32);
        each(&mut moof.children, b"trun", |trun| {
            if word(&trun.body, 0) & 1 != 0 {
                add(&mut trun.body, 8, grown);
            }
        });
    }
    // Neither index is right any more.
    nodes.retain(|node| !matches!(&node.kind, b"sidx" | b"mfra"));
    write(&nodes)
}

fn add(bytes: &mut [u8], at: usize, by: u32) {
    let sum = word(bytes, at).wrapping_add(by);
    bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn without_decode_times(file: &[u8]) -> Vec<u8> {
    each_moof(file, |moof| {
        each_list(&mut moof.children, &mut |list| list.retain(|node| node.kind != *b"tfdt"));
    })
}

/// Boxes that mean nothing here, inside of fragments and between them, and one moov before each.
pub(crate) fn strangers(file: &[u8]) -> Vec<u8> {
    let file = each_moof(file, |moof| {
        each_list(&mut moof.children, &mut |list| {
            list.insert(0, leaf(b"free", &[1; 5]));
            list.push(leaf(b"uuid", &[9; 30]));
        });
    });
    let nodes = parse(&file);
    let moov = nodes.iter().find(|node| node.kind == *b"moov").expect("a moov").clone();
    let mut out = Vec::new();
    let emsg = [&words(&[0])[..], b"urn:x\0v\0", &words(&[1_000, 5, 7, 1]), b"hello"].concat();
    for node in nodes {
        if node.kind == *b"moof" {
            out.push(leaf(b"styp", b"msdh\0\0\0\0msdhmsix"));
            out.push(leaf(b"emsg", &emsg));
            out.push(leaf(b"prft", &words(&[0x18, 1, 0xE000_0000, 0, 0])));
            out.push(moov.clone());
            out.push(leaf(b"wxyz", &[0; 11]));
        }
        out.push(node);
    }
    write(&out)
}

/// The sizes of a run's samples, for runs that say them.
fn run_sizes(trun: &[u8]) -> Option<(usize, usize, Vec<u32>)> {
    let flags = word(trun, 0);
    let start = 8 + [1, 4].iter().filter(|flag| flags & **flag != 0).count() * 4;
    let width = (flags >> 8 & 15).count_ones() as usize * 4;
    let before = (flags >> 8 & 1).count_ones() as usize * 4;
    if flags & 0x200 == 0 {
        return None;
    }
    let sizes = trun[start..].chunks(width).map(|entry| word(entry, before)).collect();
    Some((start, width, sizes))
}

/// Every run as two. The second follows the first, or, in track fragments of their own, begins where it
/// says.
pub(crate) fn halves(file: &[u8], own_fragments: bool) -> Vec<u8> {
    each_moof(file, |moof| {
        let mut out = Vec::new();
        for mut node in std::mem::take(&mut moof.children) {
            let run = node.children.iter().position(|n| n.kind == *b"trun");
            let Some(at) = run else {
                out.push(node);
                continue;
            };
            let first = node.children[at].body.clone();
            let Some((start, width, sizes)) = run_sizes(&first).filter(|(_, _, sizes)| sizes.len() > 1)
            else {
                out.push(node);
                continue;
            };
            let half = sizes.len() / 2;
            let mut second = first.clone();
            second[4..8].copy_from_slice(&((sizes.len() - half) as u32).to_be_bytes());
            second.drain(start..start + half * width);
            let mut first = first;
            first[4..8].copy_from_slice(&(half as u32).to_be_bytes());
            first.truncate(start + half * width);
            // The flags of the first sample are of the first run only.
            if word(&second, 0) & 4 != 0 {
                let flags_at = start - 4;
                second.drain(flags_at..start);
                second[3] &= !4;
            }
            node.children[at].body = first;
            if own_fragments {
                add(&mut second, 8, sizes[..half].iter().sum());
                let mut other = node.clone();
                other.children.retain(|n| n.kind != *b"tfdt");
                other.children.last_mut().expect("the run").body = second;
                out.extend([node, other]);
            } else {
                second.drain(8..12);
                second[3] &= !1;
                node.children.insert(at + 1, leaf(b"trun", &second));
                out.push(node);
            }
        }
        moof.children = out;
    })
}

/// The data of every run in an `mdat` of its own. For runs that say their sizes.
pub(crate) fn mdat_for_each_run(file: &[u8]) -> Vec<u8> {
    let mut nodes = parse(file);
    let mut out = Vec::new();
    let mut parts = Vec::new();
    for node in &mut nodes {
        if node.kind == *b"moof" {
            parts.clear();
            each(&mut node.children, b"trun", |trun| {
                add(&mut trun.body, 8, 8 * parts.len() as u32);
                parts.push(run_sizes(&trun.body).map_or(0, |(_, _, sizes)| sizes.iter().sum::<u32>()));
            });
        } else if node.kind == *b"mdat" && !parts.is_empty() {
            let mut rest = node.body.as_slice();
            for part in &parts {
                let (own, behind) = rest.split_at(*part as usize);
                out.push(leaf(b"mdat", own));
                rest = behind;
            }
            assert!(rest.is_empty(), "data that no run describes");
            continue;
        }
        out.push(node.clone());
    }
    out.retain(|node| !matches!(&node.kind, b"sidx" | b"mfra"));
    write(&out)
}
