//! What must hold of any trail.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use affiant_trail::proof::{At, Claim, fold};
use affiant_trail::{
    Entry, Fault, Frontier, Hash, Head, Payload, PublicKey, ROTATED, Shown, SigningKey, Told as _, Trusted, Verified,
    Writer, leaf_hash, open, seal, signed_by, tile_path, verify,
};
use proptest::prelude::*;
use std::collections::HashMap;

const ORIGIN: &str = "affiant.example/trail";

fn key(n: u8) -> SigningKey {
    SigningKey::new(ORIGIN, &[n; 32]).unwrap()
}

fn entry(index: u64, action: &str) -> Entry {
    Entry {
        action: action.to_owned(),
        actor: Some("0123456789abcdef0123456789abcdef".to_owned()),
        at: "2026-11-20T18:00:00.123456Z".to_owned(),
        index: index.to_string(),
        outcome: "success".to_owned(),
        v: 1,
        ..Entry::default()
    }
}

fn payload(n: u64) -> Payload {
    Payload {
        salt: [n as u8; 32],
        content: format!("{{\"n\":\"{n}\"}}"),
    }
}

/// A trail of so many entries with a checkpoint behind each of these, as lines.
fn trail(size: u64, at: &[u64]) -> Vec<String> {
    lines(size, at, |n| entry(n, "test"), &|_| vec![key(1)])
}

fn lines(size: u64, at: &[u64], make: impl Fn(u64) -> Entry, keys: &dyn Fn(u64) -> Vec<SigningKey>) -> Vec<String> {
    let mut writer = Writer::new(Vec::new());
    writer.begin(ORIGIN, size, key(1).public()).unwrap();
    let mut tree = Frontier::new();
    for n in 0..size {
        let mut entry = make(n);
        let own = payload(n);
        entry.payload = Some(own.commitment());
        let leaf = entry.canonical().unwrap();
        let hash = leaf_hash(&leaf);
        tree.append(hash, &mut |_| {});
        writer.entry(n, hash, Some(&leaf), &Shown::Open(own), None).unwrap();
        if at.contains(&(n + 1)) {
            let keys = keys(n + 1);
            writer
                .checkpoint(&signed_by(&head(n + 1, &tree), &keys.iter().collect::<Vec<_>>()).unwrap())
                .unwrap();
        }
    }
    let text = String::from_utf8(writer.end().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn head(size: u64, tree: &Frontier) -> Head {
    Head {
        origin: ORIGIN.to_owned(),
        size,
        root: tree.root(),
        time: "2026-11-20T18:00:00Z".to_owned(),
    }
}

fn check(lines: &[String]) -> Result<Verified, Fault> {
    check_with(lines, &Trusted::default())
}

fn check_with(lines: &[String], trusted: &Trusted) -> Result<Verified, Fault> {
    let mut text = lines.join("\n");
    text.push('\n');
    verify(text.as_bytes(), trusted)
}

/// The same leaf with other words, and its hash made to fit.
fn rewritten(line: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
    let leaf = value["leaf"].as_str().unwrap().replace("\"test\"", "\"tost\"");
    value["hash"] = hex::encode(leaf_hash(&leaf).0).into();
    value["leaf"] = leaf.into();
    value.to_string()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::new();
    assert_eq!(
        hex::encode(tree.root().0),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (leaf, root) in leaves.iter().zip(roots) {
        tree.append(tlog_tiles::record_hash(&hex::decode(leaf).unwrap()), &mut |_| {});
        assert_eq!(hex::encode(tree.root().0), root);
        assert_eq!(Frontier::from_bytes(&tree.to_bytes()).unwrap(), tree);
    }
}

/// Every node that is a perfect tree over the first leaves.
fn nodes(leaves: &[Hash]) -> HashMap<At, Hash> {
    let mut all = HashMap::new();
    for level in 0..10_u8 {
        for (n, chunk) in leaves.chunks_exact(1 << level).enumerate() {
            all.insert((level, n as u64), fold(chunk.to_vec()).unwrap());
        }
    }
    all
}

#[test]
fn proofs_hold_for_all_pairs_of_sizes_to_300_and_for_nothing_else() {
    let leaves: Vec<Hash> = (0..300_u64).map(|n| leaf_hash(&n.to_string())).collect();
    let nodes = nodes(&leaves);
    let mut roots = Vec::new();
    let mut tree = Frontier::new();
    roots.push(tree.root());
    for leaf in &leaves {
        tree.append(*leaf, &mut |_| {});
        roots.push(tree.root());
    }
    let prove = |claim: Claim| {
        assert!(claim.needs().unwrap().iter().all(|at| nodes.contains_key(at)));
        claim.proof(&nodes).unwrap()
    };
    for size in 1..=300_u64 {
        let root = roots[size as usize];
        for other in 0..size {
            let claim = Claim::Inclusion { size, index: other };
            let proof = prove(claim);
            assert!(claim.holds(&proof, root, leaves[other as usize]), "{claim:?}");
            assert!(!claim.holds(&proof, root, leaf_hash("another")), "{claim:?}");
            let claim = Claim::Consistency { size, old: other + 1 };
            let proof = prove(claim);
            assert!(claim.holds(&proof, root, roots[other as usize + 1]), "{claim:?}");
            if other + 1 < size {
                assert!(!claim.holds(&proof, root, roots[other as usize]), "{claim:?}");
            }
        }
        assert!(Claim::Inclusion { size, index: size }.needs().is_none());
    }
}

#[test]
fn whole_nodes_are_the_hashes_of_tiles() {
    let leaves: Vec<Hash> = (0..1000_u64).map(|n| leaf_hash(&n.to_string())).collect();
    let (mut tree, mut whole) = (Frontier::new(), Vec::new());
    leaves
        .iter()
        .for_each(|leaf| tree.append(*leaf, &mut |node| whole.push(node)));
    assert_eq!(whole.len(), 3);
    for (n, node) in whole.iter().enumerate() {
        assert_eq!((node.level, node.index), (1, n as u64));
        assert_eq!(node.hash, fold(leaves[n * 256..(n + 1) * 256].to_vec()).unwrap());
    }
    assert_eq!(tile_path("0", 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(tile_path("entries", 0, 7), "tile/entries/000.p/7");
}

#[test]
fn a_trail_that_is_whole_verifies() {
    let found = check(&trail(40, &[7, 16, 40])).unwrap();
    assert_eq!(
        (found.entries, found.checkpoints, found.intact, found.hidden),
        (40, 3, 40, 0)
    );
    assert_eq!(found.origin, ORIGIN);
}

#[test]
fn any_removal_swap_insertion_and_cut_is_named() {
    let whole = trail(30, &[10, 20, 30]);
    let is_entry = |n: &usize| whole[*n].contains("\"leaf\"");
    let entries: Vec<usize> = (0..whole.len()).filter(is_entry).collect();
    for (index, at) in entries.iter().enumerate() {
        let index = index as u64;
        let mut removed = whole.clone();
        removed.remove(*at);
        let named = check(&removed).unwrap_err();
        let expected = match named {
            Fault::Displaced { expected, .. } => expected,
            // The last one in front of a checkpoint.
            Fault::Cut { have, .. } => have,
            other => panic!("{other}"),
        };
        assert_eq!(expected, index);
        let mut doubled = whole.clone();
        doubled.insert(*at, whole[*at].clone());
        assert_eq!(
            check(&doubled).unwrap_err(),
            Fault::Inserted {
                at: index + 1,
                found: index
            }
        );
        let mut edited = whole.clone();
        edited[*at] = edited[*at].replacen("test", "tost", 1);
        assert!(matches!(check(&edited).unwrap_err(), Fault::Edited { index: named, .. } if named == index));
        let mut deep = whole.clone();
        deep[*at] = rewritten(&deep[*at]);
        let from = index / 10 * 10;
        assert_eq!(
            check(&deep).unwrap_err(),
            Fault::Rewritten {
                from,
                until: from + 10,
                size: from + 10
            }
        );
        let mut opened = whole.clone();
        opened[*at] = opened[*at].replacen("\\\"n\\\"", "\\\"m\\\"", 1);
        assert_eq!(check(&opened).unwrap_err(), Fault::PayloadEdited(index));
        let mut bare: serde_json::Value = serde_json::from_str(&whole[*at]).unwrap();
        bare.as_object_mut().unwrap().remove("payload");
        let mut missing = whole.clone();
        missing[*at] = bare.to_string();
        assert_eq!(check(&missing).unwrap_err(), Fault::PayloadMissing(index));
        if let Some(next) = entries.get(index as usize + 1).filter(|next| **next == at + 1) {
            let mut swapped = whole.clone();
            swapped.swap(*at, *next);
            assert_eq!(
                check(&swapped).unwrap_err(),
                Fault::Displaced {
                    expected: index,
                    found: index + 1
                }
            );
        }
    }
    for end in 1..whole.len() {
        assert!(check(&whole[..end]).is_err(), "cut at line {end}");
    }
}

#[test]
fn a_tail_cut_with_its_checkpoints_shows_against_one_that_was_kept() {
    let whole = trail(30, &[10, 20, 30]);
    let mut cut: Vec<String> = whole[..whole.len() - 11].to_vec();
    cut[0] = cut[0].replace("\"30\"", "\"20\"");
    assert_eq!(check(&cut).unwrap().entries, 20);
    let last: serde_json::Value = serde_json::from_str(whole.last().unwrap()).unwrap();
    let trusted = Trusted {
        checkpoints: vec![last["checkpoint"].as_str().unwrap().to_owned()],
        ..Trusted::default()
    };
    assert_eq!(
        check_with(&cut, &trusted).unwrap_err(),
        Fault::Cut { have: 20, want: 30 }
    );
    assert_eq!(check_with(&whole, &trusted).unwrap().entries, 30);
    // A fork that was signed by the same key: the one that was kept tells.
    let fork = lines(
        30,
        &[10, 20, 30],
        |n| entry(n, if n == 25 { "other" } else { "test" }),
        &|_| vec![key(1)],
    );
    assert_eq!(check(&fork).unwrap().entries, 30);
    assert!(matches!(
        check_with(&fork, &trusted).unwrap_err(),
        Fault::Rewritten {
            from: 20,
            until: 30,
            ..
        }
    ));
}

#[test]
fn a_key_changes_only_by_an_entry_that_both_sign() {
    let make = |n: u64| {
        let mut entry = entry(n, if n == 5 { ROTATED } else { "test" });
        if n == 5 {
            entry
                .refs
                .insert("from".to_owned(), key(1).public().as_str().to_owned());
            entry.refs.insert("to".to_owned(), key(2).public().as_str().to_owned());
        }
        entry
    };
    let both = |size: u64| match size {
        0..=5 => vec![key(1)],
        6..=10 => vec![key(1), key(2)],
        _ => vec![key(2)],
    };
    let found = check(&lines(20, &[3, 10, 20], make, &both)).unwrap();
    assert_eq!(found.keys, [key(1).public().clone(), key(2).public().clone()]);
    let trust = |keys: Vec<PublicKey>| Trusted {
        keys,
        ..Trusted::default()
    };
    let whole = lines(20, &[3, 10, 20], make, &both);
    assert!(check_with(&whole, &trust(vec![key(1).public().clone()])).is_ok());
    assert!(check_with(&whole, &trust(vec![key(2).public().clone()])).is_ok());
    assert!(matches!(
        check_with(&whole, &trust(vec![key(3).public().clone()])).unwrap_err(),
        Fault::Stranger(_)
    ));
    for one in [1, 2] {
        let alone = |size: u64| if size == 10 { vec![key(one)] } else { both(size) };
        assert_eq!(
            check(&lines(20, &[3, 10, 20], make, &alone)).unwrap_err(),
            Fault::Signature(10)
        );
    }
    let stays = |size: u64| if size > 10 { vec![key(1)] } else { both(size) };
    assert_eq!(
        check(&lines(20, &[3, 10, 20], make, &stays)).unwrap_err(),
        Fault::Signature(20)
    );
    let stranger = |_: u64| vec![key(9)];
    assert_eq!(
        check(&lines(20, &[20], |n| entry(n, "test"), &stranger)).unwrap_err(),
        Fault::Signature(20)
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[\\PC\"\\\\\u{0}-\u{1f}\u{2028}😀é]{0,12}"]
}

fn entries() -> impl Strategy<Value = Entry> {
    let refs = proptest::collection::btree_map("[a-z0-9_.-]{1,6}", text(), 0..4);
    let texts = (text(), proptest::option::of(text()), text(), text(), text());
    let more = (
        proptest::option::of(text()),
        proptest::option::of(text()),
        refs,
        proptest::collection::vec(text(), 0..3),
    );
    (texts, more).prop_map(
        |((action, actor, at, index, outcome), (payload, project, refs, subjects))| Entry {
            action,
            actor,
            at,
            index,
            outcome,
            payload,
            project,
            refs,
            subjects,
            v: 1,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_and_its_canonical_form_are_one_to_one(a in entries(), b in entries()) {
        let (of_a, of_b) = (a.canonical().unwrap(), b.canonical().unwrap());
        prop_assert_eq!(Entry::parse(&of_a).unwrap(), a.clone());
        prop_assert_eq!(a == b, of_a == of_b);
        // The library that canonicalises any JSON finds nothing to change.
        prop_assert_eq!(serde_json_canonicalizer::pipe(&of_a).unwrap(), of_a);
    }

    #[test]
    fn what_is_not_canonical_is_no_entry(a in entries(), at in 0_usize..400) {
        let own = a.canonical().unwrap();
        let at = own.char_indices().map(|(at, _)| at).nth(at % own.chars().count()).unwrap();
        let mut spaced = own.clone();
        spaced.insert(at, ' ');
        // A space inside a text makes another entry; anywhere else it makes none.
        if let Ok(other) = Entry::parse(&spaced) {
            prop_assert_ne!(other, a);
        }
    }

    #[test]
    fn any_bytes_give_an_error_or_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = verify(bytes.as_slice(), &Trusted::default());
    }

    #[test]
    fn any_single_change_of_a_byte_is_found(line in 0_usize..24, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let whole = trail(20, &[10, 20]);
        let mut lines: Vec<Vec<u8>> = whole.iter().map(|line| line.clone().into_bytes()).collect();
        let n = line % lines.len();
        let place = at.index(lines[n].len());
        prop_assume!(lines[n][place] != to);
        lines[n][place] = to;
        let bytes = [lines.join(&b'\n'), b"\n".to_vec()].concat();
        match verify(bytes.as_slice(), &Trusted { keys: vec![key(1).public().clone()], ..Trusted::default() }) {
            Err(_) => {}
            // White space of the lines themselves says nothing.
            Ok(found) => prop_assert_eq!(found, check(&whole).unwrap()),
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_record_alone(content in ".{0,40}", key in any::<[u8; 32]>(), nonce in any::<[u8; 24]>(), flip in any::<prop::sample::Index>()) {
        let own = Payload { salt: key, content };
        let sealed = seal(&key, nonce, "event 1", &own.to_bytes()).unwrap();
        prop_assert_eq!(Payload::from_bytes(&open(&key, "event 1", &sealed).unwrap()).unwrap(), own);
        prop_assert!(open(&key, "event 2", &sealed).is_none());
        let mut other = key;
        other[0] ^= 1;
        prop_assert!(open(&other, "event 1", &sealed).is_none());
        let mut changed = sealed.clone();
        changed[flip.index(sealed.len())] ^= 1;
        prop_assert!(open(&key, "event 1", &changed).is_none());
    }
}
