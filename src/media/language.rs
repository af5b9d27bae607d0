//! Names of languages: two letters in playlists and settings (RFC 5646), three in transport streams (ISO 639-2). Pure.

/// ISO 639-1 codes with the ISO 639-2 codes of the same language: the terminological one and, where it differs, the
/// bibliographic one, which transport streams use as often.
const CODES: &str = "aa aar, ab abk, ae ave, af afr, ak aka, am amh, an arg, ar ara, as asm, av ava, ay aym, az aze, \
    ba bak, be bel, bg bul, bi bis, bm bam, bn ben, bo bod tib, br bre, bs bos, ca cat, ce che, ch cha, \
    co cos, cr cre, cs ces cze, cu chu, cv chv, cy cym wel, da dan, de deu ger, dv div, dz dzo, ee ewe, \
    el ell gre, en eng, eo epo, es spa, et est, eu eus baq, fa fas per, ff ful, fi fin, fj fij, fo fao, \
    fr fra fre, fy fry, ga gle, gd gla, gl glg, gn grn, gu guj, gv glv, ha hau, he heb, hi hin, ho hmo, \
    hr hrv, ht hat, hu hun, hy hye arm, hz her, ia ina, id ind, ie ile, ig ibo, ii iii, ik ipk, io ido, \
    is isl ice, it ita, iu iku, ja jpn, jv jav, ka kat geo, kg kon, ki kik, kj kua, kk kaz, kl kal, \
    km khm, kn kan, ko kor, kr kau, ks kas, ku kur, kv kom, kw cor, ky kir, la lat, lb ltz, lg lug, \
    li lim, ln lin, lo lao, lt lit, lu lub, lv lav, mg mlg, mh mah, mi mri mao, mk mkd mac, ml mal, \
    mn mon, mr mar, ms msa may, mt mlt, my mya bur, na nau, nb nob, nd nde, ne nep, ng ndo, nl nld dut, \
    nn nno, no nor, nr nbl, nv nav, ny nya, oc oci, oj oji, om orm, or ori, os oss, pa pan, pi pli, \
    pl pol, ps pus, pt por, qu que, rm roh, rn run, ro ron rum, ru rus, rw kin, sa san, sc srd, sd snd, \
    se sme, sg sag, si sin, sk slk slo, sl slv, sm smo, sn sna, so som, sq sqi alb, sr srp, ss ssw, \
    st sot, su sun, sv swe, sw swa, ta tam, te tel, tg tgk, th tha, ti tir, tk tuk, tl tgl, tn tsn, \
    to ton, tr tur, ts tso, tt tat, tw twi, ty tah, ug uig, uk ukr, ur urd, uz uzb, ve ven, vi vie, \
    vo vol, wa wln, wo wol, xh xho, yi yid, yo yor, za zha, zh zho chi, zu zul";

/// Whether `language` is the wanted one or a region of it (RFC 4647 3.3.1), whichever of its codes either has.
pub fn speaks(language: &str, wanted: &str) -> bool {
    let (language, wanted) = (language.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let ((language, region), (wanted, wanted_region)) = (split(&language), split(&wanted));
    let regions = region.strip_prefix(wanted_region);
    same(language, wanted)
        && regions.is_some_and(|rest| rest.is_empty() || wanted_region.is_empty() || rest.starts_with('-'))
}

/// The language of a tag without region and script.
pub fn primary(tag: &str) -> &str {
    split(tag).0
}

fn split(tag: &str) -> (&str, &str) {
    tag.split_once('-').unwrap_or((tag, ""))
}

fn same(a: &str, b: &str) -> bool {
    let lists = |entry: &str, code| entry.split(' ').any(|known| known == code);
    a == b || CODES.split(", ").any(|entry| lists(entry, a) && lists(entry, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_any_of_its_codes_and_by_its_regions() {
        for (language, wanted) in [
            ("en", "en"),
            ("en-US", "en"),
            ("EN-us", "en-US"),
            ("eng", "en"),
            ("en", "eng"),
            ("ger", "de"),
            ("deu", "ger"),
            ("fre", "fr"),
            ("zh-Hant-TW", "zh-Hant"),
            ("zul", "zu"),
            ("qaa", "qaa"),
        ] {
            assert!(speaks(language, wanted), "{language} {wanted}");
        }
        for (language, wanted) in
            [("enx", "en"), ("en", "en-US"), ("en-USA", "en-US"), ("deu", "en"), ("", "en"), ("nob", "no")]
        {
            assert!(!speaks(language, wanted), "{language} {wanted}");
        }
    }

    #[test]
    fn every_entry_of_the_table_is_one_of_two_letters_and_one_or_two_of_three() {
        let entries: Vec<Vec<&str>> = CODES.split(", ").map(|entry| entry.split(' ').collect()).collect();
        assert_eq!(entries.len(), 183);
        for entry in entries {
            let lengths: Vec<usize> = entry.iter().map(|code| code.len()).collect();
            assert!(matches!(lengths[..], [2, 3] | [2, 3, 3]), "{entry:?}");
        }
    }
}
