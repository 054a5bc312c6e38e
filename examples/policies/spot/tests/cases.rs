#[test]
fn cases() {
    millwright::testing::policy_cases(&spot::Spot, "cases");
}
