//! The chart `agoge-crds` ships what the types say, and helm can neither template nor delete it.

const CHART: &str = include_str!("../../charts/agoge-crds/templates/crds.yaml");

#[test]
fn the_chart_ships_the_definitions_that_the_types_print() {
    let printed = agoge_crds::crd_yaml().expect("plain data");
    let first = CHART.lines().zip(printed.lines()).position(|(a, b)| a != b);
    assert!(
        CHART == printed,
        "charts/agoge-crds differs from the types at line {}; run `make charts`",
        first.unwrap_or_default() + 1
    );
}

#[test]
fn helm_ships_every_definition_word_for_word_and_keeps_it_on_uninstall() {
    assert!(!CHART.contains("{{"), "helm would take it for a template");
    let definitions = CHART.matches("kind: CustomResourceDefinition").count();
    let kept = CHART.matches("helm.sh/resource-policy: keep").count();
    assert_eq!((definitions, kept), (3, 3));
    // `kubectl apply` keeps a copy of each object in an annotation, which may have 262144 bytes.
    for definition in CHART.split("---\n").skip(1) {
        assert!(definition.len() < 256 * 1024);
    }
}
