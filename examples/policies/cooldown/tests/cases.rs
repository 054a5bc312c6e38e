use cooldown::Cooldown;
use millwright::{Policy, Proposal, Snapshot};

#[test]
fn cases() {
    millwright::testing::policy_cases(&Cooldown, "cases");
}

/// Feeds wants, one a minute, with the state handed on, and returns what is held after each.
fn minutes(config: &str, wants: &[i64]) -> Vec<i64> {
    let mut s = Snapshot { config: millwright::json::parse(config.as_bytes()).unwrap(), ..Default::default() };
    let mut held = Vec::new();
    for (i, wanted) in wants.iter().enumerate() {
        s.now_unix_ms = 1_787_220_000_000 + 60_000 * i as i64;
        s.proposal = Proposal { idle_target: Some(*wanted), ..Default::default() };
        let p = Cooldown.decide(&s).unwrap();
        held.push(p.idle_target.unwrap());
        s.state = p.state.unwrap();
    }
    held
}

#[test]
fn up_at_once_and_down_after_five_minutes() {
    assert_eq!(minutes("{}", &[2, 8, 3, 3, 3, 3, 3, 3, 3]), [2, 8, 8, 8, 8, 8, 8, 3, 3]);
}

#[test]
fn a_peak_in_between_starts_the_wait_anew() {
    assert_eq!(minutes(r#"{"down_s":120}"#, &[8, 3, 3, 8, 3, 3, 3]), [8, 8, 8, 8, 8, 8, 3]);
}

#[test]
fn up_only_when_it_lasts() {
    assert_eq!(minutes(r#"{"up_s":120,"down_s":0}"#, &[2, 8, 2, 8, 9, 8, 8]), [2, 2, 2, 2, 2, 8, 8]);
}

#[test]
fn small_changes_are_none() {
    assert_eq!(minutes(r#"{"down_s":0,"tolerance":2}"#, &[5, 7, 8, 6, 5]), [5, 5, 8, 8, 5]);
}

#[test]
fn the_memory_stays_small() {
    let mut s = Snapshot::default();
    for second in 0..2000 {
        s.now_unix_ms = 1_787_220_000_000 + 1000 * second;
        s.proposal.idle_target = Some(second * 7919 % 1000);
        s.state = Cooldown.decide(&s).unwrap().state.unwrap();
        assert!(s.state.len() < 4096, "{} bytes", s.state.len());
    }
}
