use millwright::{json, Counts, History, Policy, Proposal, Snapshot, Zone};
use prediction::{Prediction, HOUR_S, WEEK};

#[test]
fn cases() {
    millwright::testing::policy_cases(&Prediction, "cases");
}

/// Monday, 3 August 2026, 00:00 UTC, in hours since 1970.
const MONDAY: i64 = 1_785_715_200 / HOUR_S;

/// Jobs at once in an hour of the course of weeks: office hours from 9 to 17 on working days, and one at night, with a growth from week to week.
fn office(hour: i64, growth: f64) -> f64 {
    let (week, day, of_day) = ((hour - MONDAY).div_euclid(168), (hour - MONDAY).rem_euclid(168) / 24, (hour - MONDAY).rem_euclid(24));
    let jobs = if day < 5 && (9..17).contains(&of_day) { 10.0 } else { 1.0 };
    jobs * growth.powi(week as i32)
}

/// The history that the host gives at a time, of which the agent saw what `seen` says.
fn history(now_s: i64, load: &dyn Fn(i64) -> f64, seen: &dyn Fn(i64) -> bool) -> History {
    let first = now_s / HOUR_S - WEEK as i64;
    let mut h = History { from_unix_ms: first * HOUR_S * 1000, step_s: HOUR_S, ..Default::default() };
    for hour in first..now_s / HOUR_S {
        let jobs = if seen(hour) { load(hour) } else { 0.0 };
        h.minutes.push(if seen(hour) { 60 } else { 0 });
        h.running.push(jobs);
        h.running_max.push(jobs as i64);
        h.waiting_max.push(0);
    }
    h
}

/// An agent that has run the policy since MONDAY, with the state that it handed on.
struct Agent<'a> {
    load: &'a dyn Fn(i64) -> f64,
    seen: &'a dyn Fn(i64) -> bool,
    state: String,
    config: &'a str,
}

impl<'a> Agent<'a> {
    fn new(load: &'a dyn Fn(i64) -> f64, seen: &'a dyn Fn(i64) -> bool) -> Self {
        Agent { load, seen, state: String::new(), config: r#"{"timezone":"UTC"}"# }
    }

    fn decide(&mut self, now_s: i64) -> Proposal {
        let s = Snapshot {
            now_unix_ms: now_s * 1000,
            zones: vec![Zone { name: "UTC".into(), ..Default::default() }],
            fleet: Counts { used: 1, ..Default::default() },
            history: Some(history(now_s, self.load, &|hour| hour >= MONDAY && (self.seen)(hour))),
            config: json::parse(self.config.as_bytes()).unwrap(),
            state: self.state.clone(),
            ..Default::default()
        };
        let p = Prediction.decide(&s).unwrap();
        if let Some(state) = &p.state {
            assert!(state.len() < 8192, "{} bytes of state", state.len());
            self.state = state.clone();
        }
        p
    }

    /// Runs to a time, asking once an hour, and returns what is decided then.
    fn run(&mut self, from: i64, to_s: i64) -> Proposal {
        for hour in from..to_s / HOUR_S {
            self.decide(hour * HOUR_S + 60);
        }
        self.decide(to_s)
    }
}

/// A time of a week, in seconds since 1970.
fn at(week: i64, day: i64, hour: i64, minute: i64) -> i64 {
    (MONDAY + week * 168 + day * 24 + hour) * HOUR_S + minute * 60
}

#[test]
fn the_second_week_knows_the_first() {
    let load = |hour| office(hour, 1.0);
    let mut a = Agent::new(&load, &|_| true);
    assert_eq!(a.run(MONDAY, at(0, 0, 0, 0)).idle_target, None, "of a week that nobody saw nothing is known");
    let quiet = a.run(MONDAY, at(1, 0, 8, 50));
    assert_eq!(quiet.idle_target, Some(0), "{}", quiet.reason);
    let early = a.decide(at(1, 0, 8, 56));
    assert_eq!(early.idle_target, Some(9), "ten jobs come in four minutes, and one runs: {}", early.reason);
    assert_eq!(a.decide(at(1, 0, 16, 58)).idle_target, Some(9), "and stay until five");
    assert_eq!(a.decide(at(1, 0, 17, 0)).idle_target, Some(0));
    assert_eq!(a.run(MONDAY + 177, at(1, 5, 10, 0)).idle_target, Some(0), "nobody works on Saturday");
}

#[test]
fn the_trend_is_followed() {
    for growth in [1.0, 1.3, 0.7] {
        let load = |hour| office(hour, growth);
        let mut a = Agent::new(&load, &|_| true);
        let p = a.run(MONDAY, at(3, 2, 13, 0));
        let (predicted, actual) = (p.metrics["expected"], load(at(3, 2, 13, 0) / HOUR_S));
        let last_week = load(at(2, 2, 13, 0) / HOUR_S);
        assert!((predicted - actual).abs() <= 1.5, "growth {}: {} predicted, {:.1} came, {:.1} last week", growth, predicted, actual, last_week);
    }
}

#[test]
fn hours_that_nobody_saw_are_no_quiet_ones() {
    let load = |hour| office(hour, 1.0);
    let tuesday_to_thursday = |hour: i64| !(24..96).contains(&(hour - MONDAY));
    let mut a = Agent::new(&load, &tuesday_to_thursday);
    let p = a.run(MONDAY, at(1, 1, 8, 56));
    assert_eq!(p.idle_target, Some(9), "as on the other working days: {}", p.reason);

    let nights_only = |hour: i64| (hour - MONDAY).rem_euclid(24) < 8;
    let mut b = Agent::new(&load, &nights_only);
    let p = b.run(MONDAY, at(1, 0, 10, 0));
    assert_eq!((p.idle_target, p.reason.as_str()), (None, "no history of Mon 10:00 yet"));
}

#[test]
fn a_lost_state_costs_the_trend_only() {
    let load = |hour| office(hour, 1.0);
    let mut a = Agent::new(&load, &|_| true);
    a.run(MONDAY, at(2, 3, 12, 0));
    for lost in ["", "junk", r#"{"mean":3}"#] {
        a.state = lost.to_string();
        assert_eq!(a.decide(at(2, 4, 8, 57)).idle_target, Some(9), "with the state {:?}", lost);
    }
}

#[test]
fn the_hours_are_those_of_the_zone() {
    let load = |hour| office(hour + 2, 1.0); // at nine in the morning two hours east of Greenwich
    let mut a = Agent::new(&load, &|_| true);
    a.run(MONDAY, at(1, 0, 5, 0));
    let s = Snapshot {
        now_unix_ms: at(1, 0, 6, 56) * 1000,
        zones: vec![Zone { name: "Local".into(), offset_s: 7200, ..Default::default() }],
        history: Some(history(at(1, 0, 6, 56), &load, &|hour| hour >= MONDAY)),
        ..Default::default()
    };
    let p = Prediction.decide(&s).unwrap();
    assert_eq!(p.idle_target, Some(10), "{}", p.reason);
    assert!(p.reason.starts_with("Mon 09:00 had 10 jobs"), "{}", p.reason);
}

#[test]
fn limits() {
    let load = |hour| office(hour, 1.0);
    let mut a = Agent::new(&load, &|_| true);
    a.run(MONDAY, at(1, 0, 8, 0));
    a.config = r#"{"timezone":"UTC","max_machines":4}"#;
    assert_eq!(a.decide(at(1, 0, 8, 57)).idle_target, Some(3), "four in all, of which one is used");
    a.config = r#"{"timezone":"UTC","lead_s":3600}"#;
    assert_eq!(a.decide(at(1, 0, 8, 1)).idle_target, Some(9), "machines that take an hour");
}
