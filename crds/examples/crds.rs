//! Prints the CustomResourceDefinitions: `cargo run --release -p agoge-crds --example crds | kubectl apply -f -`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", agoge_crds::crd_yaml()?);
    Ok(())
}
