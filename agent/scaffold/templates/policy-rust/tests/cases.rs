use rule::Rule;

/// Runs the policy natively on the cases.
#[test]
fn cases() {
    millwright::testing::policy_cases(&Rule, "cases");
}
