//! The pages of campaigns: what they show, and pausing and resuming.

use serde_json::{Value, json};

use crate::support::{Browser, DIALING, INACTIVE_CAMPAIGN, World, create_key, eventually, in_ms, pause_with, window};

const READ: [&str; 2] = ["campaigns:read", "audit:read"];
const WRITE: [&str; 3] = ["campaigns:read", "campaigns:write", "audit:read"];
const OVERRIDE: [&str; 4] = ["campaigns:read", "campaigns:write", "campaigns:override", "audit:read"];

/// Settings that a pause needs, with this regulatory window.
fn settings(regulatory_window: &Value) -> Value {
    json!({"maxAgents": 25, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": regulatory_window,
        "answerRate": {"enabled": true, "windowMs": 300_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 600_000}})
}

/// As a form has a time that lies so many minutes ahead, in UTC.
fn local(minutes: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    at.strftime("%Y-%m-%dT%H:%M").to_string()
}

fn page_of(campaign: &str) -> String {
    format!("/console/campaigns/{campaign}")
}

impl World {
    /// Signed in with a new key that has these scopes.
    async fn browser_with(&self, scopes: &[&str]) -> Browser {
        Browser::signed_in(&self.service.base_url, &create_key(&self.database, scopes).await).await
    }
}

#[tokio::test]
async fn the_pages_show_state_holds_their_owner_and_end_and_what_was_before() {
    let world = World::of_campaigns(&[]).await;
    let browser = world.browser_with(&WRITE).await;
    let list = "/console/campaigns";
    assert!(browser.get(list).await.has("No campaigns yet"));
    world.set(&settings(&window(-120, 360))).await;
    world.command("pause", &pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await;
    world.command("resume", &json!({})).await;
    let (_, paused) = world.command("pause", &pause_with(json!({"scheduledResumeTime": in_ms(3_600_000)}))).await;

    // What was dialed before the last start does not count.
    world.report(&world.service.base_url, 10, 4).await;
    let path = page_of(DIALING);
    eventually("the chart of the answer rate", async || {
        let page = browser.get(&path).await;
        if page.has("<polyline points=") && page.has(">40%</span>") { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;

    let page = browser.get(list).await;
    for text in [&page_of(DIALING), "Carrier throttle", "by test", ">Paused</span>", "Open</span>", "at least 35%"] {
        assert!(page.has(text), "{text}: {page:?}");
    }
    let page = browser.get(&page_of(DIALING)).await;
    let end = paused["scheduledResumeTime"].as_str().unwrap();
    for text in [
        "In CXone</dt><dd><span class=\"badge warn\">Paused",
        &format!("datetime=\"{end}\""),
        "Holds in force",
        "Agent capacity",
        "before its end",
        "Started in CXone",
        "100 calls at once, 30 agents",
        "Closes <time",
        "with its floor as a dashed line",
    ] {
        assert!(page.has(text), "{text}: {page:?}");
    }
    assert!(!page.has("Opens <time"), "{page:?}");
    for (path, of) in [("/console/fragments/campaigns", "by test"), (&page_of(DIALING), "Earlier holds")] {
        let part = browser.get(&path.replace("/console/campaigns", "/console/fragments/campaigns")).await;
        assert!(part.status == 200 && part.has(of) && !part.has("<html"), "{path}: {part:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_pause_is_confirmed_by_what_it_will_do_and_is_recorded_with_the_name_of_the_person() {
    let world = World::of_campaigns(&[]).await;
    let browser = world.browser_with(&WRITE).await;
    // Closes in two minutes, so that the end lies outside of it.
    world.set(&settings(&window(-120, 2))).await;
    let form = browser.get(&format!("{}/pause", page_of(DIALING))).await;
    assert!(form.has("type=\"datetime-local\"") && form.hidden("zone") == "UTC", "{form:?}");

    let until = local(30);
    let query = format!("pauseReason=SCHEDULED&until={until}&zone=UTC&maxAgents=");
    let confirm = browser.get(&format!("{}/pause/confirm?{query}", page_of(DIALING))).await;
    for text in ["Scheduled. It ends", "Outside the window", "CXone is asked to pause", "dials again"] {
        assert!(confirm.has(text), "{text}: {confirm:?}");
    }
    assert!(world.actions().await.iter().all(|action| action == "settings.updated"), "nothing is done yet");
    let once = confirm.hidden("once");
    let fields = [("once", once.as_str()), ("pauseReason", "SCHEDULED"), ("until", &until), ("zone", "UTC")];
    let path = format!("{}/pause", page_of(DIALING));
    let answer = browser.post(&path, &fields).await;
    assert_eq!(answer.location(), format!("{}?done=paused", page_of(DIALING)));
    assert!(browser.get(answer.location()).await.has("The campaign is paused."));
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    // Sent twice, as by two clicks.
    assert_eq!(browser.post(&path, &fields).await.status, 303);
    let placed = world.entries("hold.placed").await;
    assert_eq!((placed.len(), &placed[0]["actor"]["name"]), (1, &json!("test")), "{placed:?}");

    let second = browser.get(&format!("{}/pause/confirm?pauseReason=AGENT_CAPACITY", page_of(DIALING))).await;
    for text in ["Another hold stays: Scheduled", "paused in CXone already", "before somebody resumes it"] {
        assert!(second.has(text), "{text}: {second:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_pause_with_faults_shows_them_beside_the_fields_and_does_nothing() {
    let world = World::of_campaigns(&[]).await;
    let browser = world.browser_with(&WRITE).await;
    let path = format!("{}/pause", page_of(DIALING));
    let form = [
        ("once", "k-1"),
        ("pauseReason", "COMPLIANCE_HOLD"),
        ("maxAgents", "many"),
        ("windowStart", "9 o'clock"),
        ("carrierCalls", "0"),
    ];
    let page = browser.post(&path, &form).await;
    assert_eq!(page.status, 422, "{page:?}");
    for (id, value) in [("until", ""), ("maxAgents", "many"), ("windowStart", "9 o&#39;clock"), ("carrierCalls", "0")] {
        assert!(page.has(&format!("id=\"{id}-fault\"")), "{id}: {page:?}");
        assert!(page.has(&format!("value=\"{value}\"")), "{id}: {page:?}");
    }
    let late = browser.get(&format!("{path}/confirm?pauseReason=SCHEDULED&until=tomorrow")).await;
    assert!(late.status == 422 && late.has("until-fault"), "{late:?}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    assert_eq!(browser.get(&page_of("no.id")).await.status, 404);
    let unknown = browser.get(&format!("/console/campaigns?id={INACTIVE_CAMPAIGN}")).await;
    assert_eq!(unknown.location(), page_of(INACTIVE_CAMPAIGN));
    let stopped = browser.get(&format!("{}/pause/confirm?pauseReason=SCHEDULED", page_of(INACTIVE_CAMPAIGN))).await;
    assert!(stopped.has("Will be refused"), "{stopped:?}");
    let wrong = browser.get("/console/campaigns?id=a+b").await;
    assert!(wrong.status == 422 && wrong.has("id-fault"), "{wrong:?}");
    world.end().await;
}

#[tokio::test]
async fn lifting_one_hold_says_which_remain_and_a_resume_lifts_all() {
    let world = World::of_campaigns(&[]).await;
    let browser = world.browser_with(&WRITE).await;
    world.command("pause", &pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await;
    let (_, paused) = world.command("pause", &pause_with(json!({"pauseReason": "SCHEDULED"}))).await;
    let holds = paused["holds"].as_array().unwrap();
    let scheduled = holds.iter().find(|hold| hold["pauseReason"] == "SCHEDULED").unwrap()["id"].as_str().unwrap();
    let path = format!("{}/resume", page_of(DIALING));
    assert!(browser.get(&page_of(DIALING)).await.has(&format!("{path}?hold={scheduled}")));

    let confirm = browser.get(&format!("{path}?hold={scheduled}")).await;
    for text in ["A hold is lifted: Scheduled", "Another hold stays: Agent capacity", "until somebody resumes it"] {
        assert!(confirm.has(text), "{text}: {confirm:?}");
    }
    let fields = [("once", confirm.hidden("once")), ("hold", confirm.hidden("hold"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let after = browser.submit(&path, &fields).await;
    assert!(after.has("Others remain") && after.has(">Paused</span>"), "{after:?}");
    let gone = browser.get(&format!("{path}?hold={scheduled}")).await;
    assert!(gone.has("lifted already") && !gone.has("<button type=\"submit\">"), "{gone:?}");

    let confirm = browser.get(&path).await;
    assert!(confirm.has("CXone is asked to start the campaign"), "{confirm:?}");
    let after = browser.submit(&path, &[("once", &confirm.hidden("once"))]).await;
    assert!(after.has("The campaign is dialing again.") && after.has("No hold"), "{after:?}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    let nothing = browser.get(&path).await;
    assert!(nothing.has("There is no hold to lift") && !nothing.has("Resume the campaign</button>"), "{nothing:?}");
    world.end().await;
}

#[tokio::test]
async fn a_forced_resume_needs_the_scope_and_the_name_of_the_campaign() {
    let world = World::of_campaigns(&[]).await;
    let compliance = json!({"pauseReason": "COMPLIANCE_HOLD", "scheduledResumeTime": in_ms(3_600_000)});
    world.command("pause", &pause_with(compliance)).await;
    let path = format!("{}/resume", page_of(DIALING));

    let writer = world.browser_with(&WRITE).await;
    let page = writer.get(&path).await;
    assert!(page.has("Before its end") && page.has("campaigns:override can force it"), "{page:?}");
    assert!(!page.has("name=\"force\"") && !page.has("Resume the campaign</button>"), "{page:?}");
    let forced = [("once", "w-1"), ("force", "true"), ("name", DIALING)];
    let refused = writer.post(&path, &forced).await;
    assert!(refused.status == 409 && refused.has("a compliance hold has not ended"), "{refused:?}");

    let manager = world.browser_with(&OVERRIDE).await;
    let page = manager.get(&path).await;
    assert!(page.has("Force the resume") && page.hidden("force") == "true", "{page:?}");
    let once = page.hidden("once");
    let wrong = manager.post(&path, &[("once", &once), ("force", "true"), ("name", "another")]).await;
    assert!(wrong.status == 422 && wrong.has("name-fault"), "{wrong:?}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    let right = manager.submit(&path, &[("once", &once), ("force", "true"), ("name", DIALING)]).await;
    assert!(right.has("The campaign is dialing again.") && right.has("Forced: hold-in-force"), "{right:?}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    world.end().await;
}

#[tokio::test]
async fn without_the_scopes_there_are_no_commands_and_no_history_and_they_are_refused() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause_with(json!({}))).await;
    let reader = world.browser_with(&READ).await;
    let page = reader.get(&page_of(DIALING)).await;
    assert!(page.has("Holds in force") && !page.has("/pause\"") && !page.has("/resume"), "{page:?}");
    for path in ["pause", "pause/confirm", "resume"] {
        let page = reader.get(&format!("{}/{path}", page_of(DIALING))).await;
        assert!(page.status == 403 && page.has("campaigns:write"), "{path}: {page:?}");
    }
    for path in ["pause", "resume"] {
        let form = [("once", "r-1"), ("pauseReason", "SCHEDULED")];
        let page = reader.post(&format!("{}/{path}", page_of(DIALING)), &form).await;
        assert!(page.status == 403 && page.has("campaigns:write"), "{path}: {page:?}");
    }
    let other = world.browser_with(&["campaigns:read"]).await;
    assert!(other.get(&page_of(DIALING)).await.has("The scope audit:read shows"));
    let stranger = world.browser_with(&["callbacks:read"]).await;
    for path in ["/console/campaigns".to_owned(), page_of(DIALING)] {
        assert_eq!(stranger.get(&path).await.status, 403, "{path}");
    }
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    world.end().await;
}

#[tokio::test]
async fn hostile_names_of_keys_and_words_of_cxone_are_shown_as_text() {
    let world = World::of_campaigns(&[]).await;
    let hostile = "<script>alert(1)</script>";
    let browser = world.browser_with(&WRITE).await;
    world.database.run(&format!("update api_keys set name = '{hostile}'")).await;
    world
        .cxone
        .fault(json!({"route": "campaignUpdate", "kind": "status", "status": 500, "times": 1,
        "body": {"error_description": hostile}}))
        .await;
    world.command("pause", &pause_with(json!({}))).await;
    for path in ["/console/campaigns", &page_of(DIALING), &format!("{}/resume", page_of(DIALING))] {
        let page = browser.get(path).await;
        assert!(page.status == 200 && !page.has("<script>"), "{path}: {page:?}");
        assert!(page.has("&#60;script&#62;"), "{path}: {page:?}");
    }
    let typed =
        browser.get(&format!("{}/pause?until=%22%3E%3Cscript%3E&pauseReason=%3Cscript%3E", page_of(DIALING))).await;
    assert!(typed.status == 200 && !typed.has("<script>"), "{typed:?}");
    world.end().await;
}
