//! `ringback audit list`

use std::borrow::Cow;

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;
use uuid::Uuid;

use crate::audit::{AuditStore, EXPORT_STEP, Entry, Filter, Format, Outcome, parse_filter_text, parse_outcome};
use crate::cli::table::{self, printable, written};
use crate::config::{DatabaseArgs, Given, SettingErrors, choice, number, parsed};
use crate::db;
use crate::types::{AllowedCampaigns, CampaignId, parse_instant, parse_uuid};

#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only entries of this campaign
    #[arg(long, value_parser = parsed(CampaignId::parse), value_name = "ID")]
    campaign_id: Option<Given<CampaignId>>,
    /// Only entries of this callback
    #[arg(long, value_parser = parsed(parse_uuid), value_name = "ID")]
    callback_id: Option<Given<Uuid>>,
    /// Only this action, such as callback.scheduled
    #[arg(long, value_parser = parsed(parse_filter_text))]
    action: Option<Given<String>>,
    /// Only what this actor did, by its id or name
    #[arg(long, value_parser = parsed(parse_filter_text))]
    actor: Option<Given<String>>,
    /// Only steps that ended so: succeeded, failed, refused, unchanged, pending or unknown
    #[arg(long, value_parser = parsed(parse_outcome))]
    outcome: Option<Given<Outcome>>,
    /// From this time on, such as 2026-11-20T15:00:00Z
    #[arg(long, value_parser = parsed(parse_instant), value_name = "TIME")]
    from: Option<Given<Timestamp>>,
    /// Before this time
    #[arg(long, value_parser = parsed(parse_instant), value_name = "TIME")]
    to: Option<Given<Timestamp>>,
    /// At most so many entries; without it 50 in a table, and all in any other format
    #[arg(long, value_parser = number(1..=i64::MAX), value_name = "N")]
    limit: Option<Given<i64>>,
    /// How they are printed
    #[arg(long, default_value = "table", value_parser = choice::<Form>())]
    format: Given<Form>,
    /// An entry in each line, as JSON: the same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Table,
    Csv,
    /// An entry in each line, as JSON
    Ndjson,
}

/// Entries of a table, unless the command line says how many.
const TABLE_LIMIT: i64 = 50;

impl List {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let database = self.database.clone().read(&mut errors);
        let given = database.zip(self.read(&mut errors));
        let (database, (filter, limit, form)) = errors.finish(given)?;
        let db = db::connect(&database, db::FEW_CONNECTIONS).await.context("cannot connect to Postgres")?;
        let store = AuditStore::new(db.for_reports());
        let printed = print(&store, &filter, limit, form).await;
        db.close().await;
        printed
    }

    /// The filter, the number of entries and their form, or none after adding errors.
    fn read(self, errors: &mut SettingErrors) -> Option<(Filter, i64, Form)> {
        let campaign_id = errors.take(self.campaign_id.transpose());
        let callback_id = errors.take(self.callback_id.transpose());
        let action = errors.take(self.action.transpose());
        let actor = errors.take(self.actor.transpose());
        let outcome = errors.take(self.outcome.transpose());
        let from = errors.take(self.from.transpose());
        let to = errors.take(self.to.transpose());
        let limit = errors.take(self.limit.transpose());
        let form = if self.json { Form::Ndjson } else { errors.take(self.format)? };
        let filter = Filter {
            campaign_id: campaign_id?,
            campaigns: AllowedCampaigns::all(),
            callback_id: callback_id?,
            action: action?,
            actor: actor?,
            outcome: outcome?,
            from: from?,
            to: to?,
        };
        let all = if matches!(form, Form::Table) { TABLE_LIMIT } else { i64::MAX };
        Some((filter, limit?.unwrap_or(all), form))
    }
}

/// Prints step by step. A reader that has seen enough, such as `head`, ends it.
async fn print(store: &AuditStore, filter: &Filter, limit: i64, form: Form) -> anyhow::Result<()> {
    let width = table::terminal_width();
    let head = match form {
        Form::Table => Vec::new(),
        Form::Csv => Format::Csv.head()?,
        Form::Ndjson => Format::Ndjson.head()?,
    };
    if !written(&head)? {
        return Ok(());
    }
    let (mut left, mut after) = (limit, None);
    while left > 0 {
        let wanted = left.min(EXPORT_STEP);
        let step = store.step(filter, after.as_ref(), wanted).await.context("cannot read the audit log")?;
        let text = match form {
            Form::Table => table(&step.entries, width).into_bytes(),
            Form::Csv => Format::Csv.rows(&step.entries)?,
            Form::Ndjson => Format::Ndjson.rows(&step.entries)?,
        };
        if !written(&text)? || step.next.is_none() {
            return Ok(());
        }
        (left, after) = (left - wanted, step.next);
    }
    Ok(())
}

/// A row for each entry.
fn table(entries: &[Entry], width: Option<usize>) -> String {
    let head = ["TIME", "ACTION", "OUTCOME", "ACTOR", "CAMPAIGN", "CALLBACK", "DETAIL"];
    if entries.is_empty() { String::new() } else { table::render(head, entries.iter().map(row).collect(), width) }
}

fn row(entry: &Entry) -> [Cow<'_, str>; 7] {
    let outcome: &str = entry.outcome.into();
    let detail = entry.detail.as_json();
    let has_detail = detail.as_object().is_none_or(|members| !members.is_empty());
    [
        entry.timestamp.to_string().into(),
        entry.action.as_str().into(),
        outcome.into(),
        printable(&entry.actor.name),
        entry.campaign_id.as_deref().map_or("-".into(), printable),
        entry.callback_id.map_or("-".into(), |id| id.to_string().into()),
        if has_detail { printable(&detail.to_string()).into_owned().into() } else { "-".into() },
    ]
}
