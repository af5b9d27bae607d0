//! Boxes taken apart and put together again, to make the shapes that FFmpeg does not write.

/// Boxes that hold nothing but boxes.
const CONTAINERS: [&[u8; 4]; 9] =
    [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"];

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: [u8; 4],
    /// Of a box that holds no boxes.
    pub(crate) body: Vec<u8>,
    pub(crate) children: Vec<Node>,
}

pub(crate) fn leaf(kind: &[u8; 4], body: &[u8]) -> Node {
    Node { kind: *kind, body: body.to_vec(), children: Vec::new() }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Takes apart what FFmpeg wrote: sizes of 32 bits.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while bytes.len() >= 8 {
        let (whole, rest) = bytes.split_at(word(bytes, 0) as usize);
        let kind = whole[4..8].try_into().expect("four bytes");
        let mut node = Node { kind, body: Vec::new(), children: Vec::new() };
        if CONTAINERS.contains(&&kind) {
            node.children = parse(&whole[8..]);
        } else {
            node.body = whole[8..].to_vec();
        }
        nodes.push(node);
        bytes = rest;
    }
    nodes
}

pub(crate) fn write(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        let body = if node.children.is_empty() { node.body.clone() } else { write(&node.children) };
        out.extend_from_slice(&(body.len() as u32 + 8).to_be_bytes());
        out.extend_from_slice(&node.kind);
        out.extend_from_slice(&body);
    }
    out
}

/// Calls `change` with every list of boxes, the inner ones first.
pub(crate) fn each_list(nodes: &mut Vec<Node>, change: &mut impl FnMut(&mut Vec<Node>)) {
    for node in nodes.iter_mut().filter(|node| !node.children.is_empty()) {
        each_list(&mut node.children, change);
    }
    change(nodes);
}

/// Calls `change` with every box of this type.
pub(crate) fn each(nodes: &mut Vec<Node>, kind: &[u8; 4], mut change: impl FnMut(&mut Node)) {
    each_list(nodes, &mut |list| list.iter_mut().filter(|node| node.kind == *kind).for_each(&mut change));
}

/// How many bytes these boxes take.
pub(crate) fn len(nodes: &[Node]) -> usize {
    write(nodes).len()
}
