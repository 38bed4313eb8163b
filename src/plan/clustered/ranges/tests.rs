use super::*;

/// Row groups of 100 rows each with these values.
fn groups(values: &[(i64, i64)]) -> Vec<RowGroup> {
    let group = |(at, (least, most)): (usize, &(i64, i64))| {
        let begin = 4 + 10 * i64::try_from(at).unwrap();
        RowGroup { file: 0, begin, end: begin + 10, rows: 100, least: *least, most: *most, asked: Vec::new() }
    };
    values.iter().enumerate().map(group).collect()
}

/// The least values of the row groups in each range.
fn found(groups: Vec<RowGroup>, partitions: usize, is_always: bool) -> Option<Vec<Vec<i64>>> {
    let shares = ranges(groups, partitions, is_always)?;
    Some(shares.into_iter().map(|share| share.into_iter().map(|group| group.least).collect()).collect())
}

#[test]
fn a_column_is_cut_where_greater_values_begin() {
    let values = [(1, 10), (11, 20), (21, 30), (31, 40)];
    assert_eq!(found(groups(&values), 2, false).unwrap(), [vec![1, 11], vec![21, 31]]);
    assert_eq!(found(groups(&values), 4, false).unwrap(), [vec![1], vec![11], vec![21], vec![31]]);
    assert_eq!(found(groups(&values), 5, true), None);
}

#[test]
fn row_groups_that_have_a_value_in_common_stay_together() {
    let values = [(1, 10), (10, 20), (20, 30), (31, 40)];
    assert_eq!(found(groups(&values), 2, true).unwrap(), [vec![1, 10, 20], vec![31]]);
    assert_eq!(found(groups(&values), 2, false), None);
    assert_eq!(found(groups(&values), 3, true), None);
    assert_eq!(found(groups(&[(1, 10), (10, 20)]), 2, true), None);
}

#[test]
fn a_row_group_with_many_values_holds_all_those_among_them_together() {
    let values = [(1, 35), (2, 3), (31, 40), (41, 50), (51, 60), (61, 70)];
    assert_eq!(found(groups(&values), 2, false).unwrap(), [vec![1, 2, 31], vec![41, 51, 61]]);
}

#[test]
fn the_order_of_row_groups_does_not_matter() {
    let values = [(31, 40), (1, 10), (21, 30), (11, 20)];
    assert_eq!(found(groups(&values), 2, false).unwrap(), [vec![1, 11], vec![21, 31]]);
}

#[test]
fn ranges_have_about_as_many_rows() {
    let mut groups = groups(&[(1, 10), (11, 20), (21, 30), (31, 40)]);
    groups[3].rows = 300;
    assert_eq!(found(groups.clone(), 2, false).unwrap(), [vec![1, 11, 21], vec![31]]);
    groups[3].rows = 600;
    assert_eq!(found(groups.clone(), 2, false), None);
    assert_eq!(found(groups, 2, true).unwrap(), [vec![1, 11, 21], vec![31]]);
}

#[test]
fn shares_that_come_later_get_what_they_need() {
    let mut groups = groups(&[(1, 10), (11, 20), (21, 30)]);
    groups[0].rows = 1;
    groups[1].rows = 1;
    assert_eq!(found(groups, 3, true).unwrap(), [vec![1], vec![11], vec![21]]);
}

#[test]
fn few_values_are_not_worth_it() {
    assert_eq!(found(groups(&[(1, 3), (4, 6)]), 2, false), None);
    assert_eq!(found(groups(&[(1, 3), (4, 6)]), 2, true).unwrap(), [[1], [4]]);
    assert_eq!(found(groups(&[(1, 3), (4, 7)]), 2, false).unwrap(), [[1], [4]]);
    assert_eq!(found(groups(&[(i64::MIN, 3), (4, i64::MAX)]), 2, false).unwrap(), [[i64::MIN], [4]]);
}

#[test]
fn what_leaves_out_rows_has_to_do_so_in_all_ranges() {
    let mut groups = groups(&[(1, 10), (11, 20), (21, 30), (31, 40)]);
    for (at, asked) in [(0, (0.0, 40.0)), (1, (50.0, 100.0)), (2, (10.0, 100.0)), (3, (20.0, 30.0))] {
        groups[at].asked = vec![(1.0, 1.0), asked];
    }
    assert!(found(groups.clone(), 2, false).is_some());
    assert!(found(groups.clone(), 4, false).is_none());
    groups[2].asked[1].0 = 30.0;
    groups[3].asked[1].0 = 29.0;
    assert!(found(groups, 2, false).is_none());
}

#[test]
fn nothing_is_cut_of_nothing() {
    assert_eq!(found(Vec::new(), 2, true), None);
}
