//! Trees of hashes: what shows that one of many hashes is among those that were signed, with a few of the others.
//!
//! They are those of RFC 9162 §2.1 (Certificate Transparency), over lists whose items are hashes already:
//!
//! ```text
//! leaf = SHA-256(00 ‖ item)
//! node = SHA-256(01 ‖ left ‖ right)      left: the greatest power of two of the leaves that leaves some for the right
//! ```

use aws_lc_rs::digest::{Context, SHA256};

use super::block::Hash;

/// The root of the tree over some hashes (RFC 9162 §2.1.1).
#[must_use]
pub(super) fn root(items: &[Hash]) -> Hash {
    let mut tree = GrowingTree::default();
    items.iter().for_each(|item| tree.push(item));
    tree.root()
}

/// A whole tree, level by level from its leaves up: what paths are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    pub(super) fn of(items: &[Hash]) -> Tree {
        let mut levels: Vec<Vec<Hash>> = vec![items.iter().map(leaf).collect()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            // One that is left over goes up as it is, until there is another to its left.
            let above = level.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| node(&pair[0], right)));
            levels.push(above.collect());
        }
        Tree { levels }
    }

    pub(super) fn root(&self) -> Hash {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_else(|| digest(&[]))
    }

    /// What leads from an item to the root, from the bottom up (RFC 9162 §2.1.3.1).
    pub(super) fn path(&self, index: usize) -> Vec<Hash> {
        let other = |(height, level): (usize, &Vec<Hash>)| level.get((index >> height) ^ 1).copied();
        self.levels.iter().enumerate().filter_map(other).collect()
    }
}

/// The root to which a path leads from an item, which is number `index` of `count`; none where there is no such path
/// (RFC 9162 §2.1.3.2).
#[must_use]
pub(super) fn climb(item: &Hash, index: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, count.checked_sub(1).filter(|last| index <= *last)?);
    let mut hash = leaf(item);
    for other in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(other, &hash);
            while at.is_multiple_of(2) && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = node(&hash, other);
        }
        (at, last) = (at / 2, last / 2);
    }
    (last == 0).then_some(hash)
}

/// A tree whose list grows. It keeps no more hashes than its list's length has bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GrowingTree {
    count: u64,
    /// The roots of the whole trees that it is made of, one for each bit of `count`, the greatest first.
    roots: Vec<Hash>,
}

impl GrowingTree {
    pub(super) fn push(&mut self, item: &Hash) {
        let mut hash = leaf(item);
        for _ in 0..self.count.trailing_ones() {
            hash = self.roots.pop().map_or(hash, |left| node(&left, &hash));
        }
        self.roots.push(hash);
        self.count += 1;
    }

    pub(super) fn root(&self) -> Hash {
        let hash = self.roots.iter().rev().copied().reduce(|right, left| node(&left, &right));
        hash.unwrap_or_else(|| digest(&[]))
    }
}

fn leaf(item: &Hash) -> Hash {
    digest(&[&[0], item])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("a SHA-256 digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hex;
    use super::*;

    fn items(count: usize) -> Vec<Hash> {
        (0..count).map(|number| digest(&[&number.to_be_bytes()])).collect()
    }

    /// The definition, word for word.
    fn by_definition(items: &[Hash]) -> Hash {
        match items {
            [] => digest(&[]),
            [one] => leaf(one),
            _ => {
                let left = items.len().next_power_of_two() / 2;
                node(&by_definition(&items[..left]), &by_definition(&items[left..]))
            }
        }
    }

    #[test]
    fn a_tree_that_grows_has_the_root_that_is_defined() {
        for count in 0..70 {
            let root = root(&items(count));
            assert_eq!((root, Tree::of(&items(count)).root()), (by_definition(&items(count)), root), "{count}");
        }
    }

    #[test]
    fn the_arithmetic_is_what_it_was() {
        // Computed by Python's hashlib.
        assert_eq!(hex::encode(&root(&[[1; 32], [2; 32], [3; 32]])), ROOT);
    }

    const ROOT: &str = "df896896c799531f1fd1e556cea26a6989ab06853bcbfdd3e4f5097a611f658f";

    proptest! {
        #[test]
        fn a_path_leads_to_the_root_from_its_own_item_and_place_only(
            (count, index, other) in (1usize..300).prop_flat_map(|count| (Just(count), 0..count, 0..count)),
            bit in 0usize..256,
        ) {
            let items = items(count);
            let (root, path) = (root(&items), Tree::of(&items).path(index));
            prop_assert!(path.len() <= 9, "{}", path.len());
            let climbed = |item: &Hash, index: usize, path: &[Hash]| climb(item, index as u64, count as u64, path);
            prop_assert_eq!(climbed(&items[index], index, &path), Some(root));
            if other != index {
                prop_assert_ne!(climbed(&items[index], other, &path), Some(root));
                prop_assert_ne!(climbed(&items[other], index, &path), Some(root));
            }
            let flipped = |mut hash: Hash| {
                hash[bit / 8] ^= 1 << (bit % 8);
                hash
            };
            prop_assert_ne!(climbed(&flipped(items[index]), index, &path), Some(root));
            for at in 0..path.len() {
                let mut changed = path.clone();
                changed[at] = flipped(changed[at]);
                prop_assert_ne!(climbed(&items[index], index, &changed), Some(root));
            }
            prop_assert_eq!(climbed(&items[index], index, &[path.as_slice(), &[[0; 32]]].concat()), None);
            prop_assert_eq!(climbed(&items[index], count, &path), None);
            if let Some((_, shorter)) = path.split_last() {
                prop_assert_ne!(climbed(&items[index], index, shorter), Some(root));
            }
        }
    }
}
