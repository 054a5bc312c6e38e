//! A scaling policy: see README.md for what it decides.
#![forbid(unsafe_code)]

use millwright::{json, Description, Error, Policy, Proposal, Snapshot};

millwright::policy!(Rule);

/// How many seconds of the past count: one of those that a snapshot has, 60, 300, 900 and 3600.
const WINDOW: i64 = 300;

/// For how many jobs of that time one machine is held.
const JOBS_PER_MACHINE: i64 = 1;

/// How many machines are held for them, unless the configuration says otherwise.
const MOST: i64 = 10;

/// What `[config]` of NAME.toml may hold. The host checks it, so that a mistake there is told before the policy is asked.
const SCHEMA: &[u8] = br#"{
    "type": "object",
    "properties": {
        "most": {"type": "integer", "minimum": 0, "default": 10, "description": "machines to hold available for jobs that came lately"}
    },
    "additionalProperties": false
}"#;

/// Holds machines for as many jobs as came lately: there will be more.
pub struct Rule;

millwright::shape! {
    /// What NAME.toml says below [config].
    Config {
        /// Machines to hold available for jobs that came lately.
        most: Option<i64>,
    }
}

impl Policy for Rule {
    fn describe(&self) -> Description {
        Description {
            name: "NAME".into(),
            version: "0.1.0".into(),
            summary: "holds machines for as many jobs as came lately".into(),
            config_schema: json::parse(SCHEMA).expect("SCHEMA is JSON"),
            ..Default::default()
        }
    }

    /// It is pure: the same snapshot gives the same proposal.
    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        let config: Config = json::decode(&s.config)?;
        let most = config.most.unwrap_or(MOST);
        let jobs = arrivals(s);
        let mut target = (jobs + JOBS_PER_MACHINE - 1) / JOBS_PER_MACHINE;
        let mut why = "";
        if target > most {
            target = most.max(0);
            why = ", the most that are allowed";
        }
        if let Some(before) = s.proposal.idle_target.filter(|before| *before > target) {
            target = before;
            why = ", as the policies before this one want";
        }
        Ok(Proposal {
            idle_target: Some(target),
            reason: format!("{} jobs came in {} minutes: hold {} machines available{}", jobs, WINDOW / 60, target, why),
            ..Default::default()
        })
    }
}

/// How many jobs came in the window.
fn arrivals(s: &Snapshot) -> i64 {
    s.demand.windows.iter().find(|w| w.seconds == WINDOW).map_or(0, |w| w.arrivals.max(0))
}
