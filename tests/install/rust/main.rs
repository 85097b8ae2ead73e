// A program as a user writes it.
use tokenbucket::{Bucket, Error};

fn main() -> Result<(), Error> {
    let bucket = Bucket::new(1.0, 0.001)?;
    println!("{} {}", bucket.allow(1.0)?, bucket.allow(1.0)?);
    Ok(())
}
