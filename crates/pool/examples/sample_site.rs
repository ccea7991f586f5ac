//! The website with the figures of a pool that exists only as an example, for whoever designs pages:
//! `cargo run -p pool --example sample_site -- [ADDRESS:PORT] [FOLDER]`.

use std::path::PathBuf;

use pool::site::Facts;
use pool::site::pages;
use pool::site::static_files::SiteFiles;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8089".to_owned());
    let folder = arguments.next().map(PathBuf::from);
    let files = SiteFiles::new(folder.as_deref())?;
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("sample site: http://{}/", listener.local_addr()?);
    axum::serve(listener, pages::router(files, Facts::sample())).await?;
    Ok(())
}
