//! `regions`: whether deployments that are nearer come first.

/// In which order the regions of a tier's deployments come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// The strategy alone decides.
    Any,
    /// The nearest first; a farther one serves what no nearer one can.
    Nearest,
}

/// How far a region is from ours: how many of the parts of our region's name it does not share, from the left. One that is
/// not known is as far as can be.
pub(super) fn distance(ours: &str, theirs: Option<&str>) -> u32 {
    let parts = ours.split('-').count();
    let shared = theirs.map_or(0, |theirs| {
        let pairs = ours.split('-').zip(theirs.split('-'));
        pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    });
    (parts - shared) as u32
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn the_more_of_its_name_a_region_shares_the_nearer_it_is() {
        let from = |theirs: Option<&str>| distance("us-west-2", theirs);
        let far =
            [Some("us-west-2"), Some("US-West-1"), Some("us-east-1"), Some("us"), Some("eu-west-2"), None];
        assert_eq!(far.map(from), [0, 1, 2, 2, 3, 3]);
        assert_eq!(distance("us", Some("us-west-2")), 0);
    }
}
