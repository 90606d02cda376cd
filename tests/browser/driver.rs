//! The browser and its driver: one of each for all tests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};
use tokio::sync::OnceCell;

/// Runs the driver until this process ends for any reason: then stdin is closed. A static is never dropped. The argument is the
/// directory of the browser's profile.
const KEEPER: &str = r#"
chromedriver --port=0 </dev/null &
driver=$!
cat >/dev/null
kill "$driver"
wait "$driver" 2>/dev/null
# The browser ends a moment later, and writes its profile until then.
for attempt in $(seq 50); do
    rm -rf "$1" 2>/dev/null && break
    sleep 0.1
done
"#;
/// What the driver prints before its port.
const STARTED: &str = "started successfully on port ";

/// The driver with the browser that it has started.
pub struct Driver {
    pub web: WebDriver,
    /// Its stdin is open until this process ends.
    _keeper: Child,
}

/// The one of this process.
pub async fn driver() -> &'static Driver {
    static DRIVER: OnceCell<Driver> = OnceCell::const_new();
    DRIVER.get_or_init(start).await
}

async fn start() -> Driver {
    let profile = format!("{}/browser-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "sh", &profile]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut keeper = command.spawn().unwrap();
    let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let (_, port) =
            line.unwrap().rsplit_once(STARTED).map(|(before, port)| (before.to_owned(), port.to_owned()))?;
        Some(port.trim_end_matches('.').to_owned())
    });
    let port = port.expect("chromedriver has started");
    // A full pipe would block the driver.
    std::thread::spawn(move || lines.for_each(drop));

    let mut chrome = DesiredCapabilities::chrome();
    chrome.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
    // Root cannot use the sandbox, and only the service under test is visited. In a container /dev/shm is small.
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]
    {
        chrome.add_arg(argument).unwrap();
    }
    // The browser ends with the driver, whose pipe is closed then.
    chrome.add_arg("--remote-debugging-pipe").unwrap();
    chrome.add_arg(&format!("--user-data-dir={profile}")).unwrap();
    // thirtyfour's HTTP client uses the crypto library that a client of the service has chosen.
    drop(crate::harness::http_client());
    let web = WebDriver::new(format!("http://127.0.0.1:{port}"), chrome).await.unwrap();
    Driver { web, _keeper: keeper }
}
