//! The command line's arms, nothing else.

fn main() -> std::process::ExitCode {
    caducee::cli::run()
}
