//! Records in a redb database. One thread writes; it joins whatever waits into one transaction, so that many writers
//! share one sync of the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc as channel;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use crate::store::{Change, Expect, Page, Records, StoreError, Versioned, WatchEvent, check_key};

const RECORDS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Name of the largest revision in `META`.
const REVISION: &str = "revision";
/// Memory for pages of the database.
const CACHE_BYTES: usize = 32 << 20;
/// Most writes joined into one transaction.
const JOINED: usize = 256;
/// Changes a watcher may lag behind before it is dropped.
const WATCH_LAG: usize = 1 << 16;
/// Largest record.
const MAX_RECORD: usize = 4 << 20;

struct Write {
    key: String,
    /// `None` deletes.
    value: Option<Vec<u8>>,
    expect: Expect,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

type Snapshot = (Vec<(String, Versioned)>, mpsc::Receiver<Change>);

enum Request {
    Write(Write),
    Watch { prefix: String, reply: oneshot::Sender<Result<Snapshot, StoreError>> },
}

/// The open database; `None` while it is opened again after an error.
type Shared = Arc<RwLock<Option<Database>>>;

/// Records in one database file.
#[derive(Debug)]
pub struct FileRecords {
    database: Shared,
    requests: Mutex<channel::Sender<Request>>,
}

impl FileRecords {
    /// Opens or creates the database.
    ///
    /// # Errors
    /// It is damaged, or open in another process.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Arc::new(RwLock::new(Some(open_database(path)?)));
        let (requests, inbox) = channel::channel();
        let mut writer = Writer { path: path.to_owned(), database: Arc::clone(&database), watchers: Vec::new() };
        std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(StoreError::unavailable)?;
        Ok(Self { database, requests: Mutex::new(requests) })
    }

    fn request(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.send(request).map_err(|_| StoreError::unavailable("the writing thread has ended"))
    }

    async fn write(&self, key: &str, value: Option<Vec<u8>>, expect: Expect) -> Result<u64, StoreError> {
        check_key(key)?;
        if value.as_ref().is_some_and(|value| value.len() > MAX_RECORD) {
            return Err(StoreError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        self.request(Request::Write(Write { key: key.to_owned(), value, expect, reply }))?;
        answer.await.map_err(|_| StoreError::unavailable("the writing thread has ended"))?
    }
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Unavailable(format!(
            "{} is open in another process; stop it, or use another --data directory",
            path.display()
        )),
        other => failure(other.into()),
    })?;
    let transaction = database.begin_write().map_err(|error| failure(error.into()))?;
    transaction.open_table(RECORDS).map_err(|error| failure(error.into()))?;
    transaction.open_table(META).map_err(|error| failure(error.into()))?;
    transaction.commit().map_err(|error| failure(error.into()))?;
    Ok(database)
}

fn failure(error: redb::Error) -> StoreError {
    match &error {
        redb::Error::Io(io)
            if matches!(
                io.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
            ) =>
        {
            StoreError::Full
        }
        _ => StoreError::unavailable(error),
    }
}

fn failed<E: Into<redb::Error>>(error: E) -> StoreError {
    failure(error.into())
}

/// Runs a reader on the open database.
fn read<T>(database: &Shared, reader: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let guard = database.read().unwrap_or_else(PoisonError::into_inner);
    let database = guard.as_ref().ok_or_else(|| StoreError::unavailable("the database is being opened again"))?;
    reader(database)
}

/// Key, and revision with value.
type Entry<'a> = (redb::AccessGuard<'a, &'static str>, redb::AccessGuard<'a, (u64, &'static [u8])>);

fn list_in(database: &Database, prefix: &str, page: &Page) -> Result<Vec<(String, Versioned)>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(RECORDS).map_err(failed)?;
    // Keys are ASCII: `~` is beyond every character of a key.
    let end = format!("{prefix}~");
    let after = page.after.as_deref().filter(|after| after.starts_with(prefix));
    let limit = page.limit.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut add = |entry: Result<Entry<'_>, redb::StorageError>| {
        let (key, value) = entry.map_err(failed)?;
        let (key, (revision, value)) = (key.value(), value.value());
        if after != Some(key) && found.len() < limit {
            found.push((key.to_owned(), Versioned { value: value.to_vec(), revision }));
        }
        Ok::<bool, StoreError>(found.len() < limit)
    };
    if page.descending {
        let range = table.range(prefix..after.unwrap_or(&end)).map_err(failed)?;
        for entry in range.rev() {
            if !add(entry)? {
                break;
            }
        }
    } else {
        let range = table.range(after.unwrap_or(prefix)..end.as_str()).map_err(failed)?;
        for entry in range {
            if !add(entry)? {
                break;
            }
        }
    }
    Ok(found)
}

struct Writer {
    path: PathBuf,
    database: Shared,
    watchers: Vec<(String, mpsc::Sender<Change>)>,
}

impl Writer {
    fn run(&mut self, inbox: &channel::Receiver<Request>) {
        while let Ok(first) = inbox.recv() {
            let mut writes = Vec::new();
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    Request::Write(write) => writes.push(write),
                    Request::Watch { prefix, reply } => {
                        // The snapshot must hold every write before it and no other.
                        self.write_all(std::mem::take(&mut writes));
                        let _ = reply.send(self.watch(prefix));
                    }
                }
                if writes.len() < JOINED {
                    next = inbox.try_recv().ok();
                }
            }
            self.write_all(writes);
        }
    }

    fn watch(&mut self, prefix: String) -> Result<Snapshot, StoreError> {
        let existing = read(&self.database, |database| list_in(database, &prefix, &Page::default()))?;
        let (sender, receiver) = mpsc::channel(WATCH_LAG);
        self.watchers.push((prefix, sender));
        Ok((existing, receiver))
    }

    fn write_all(&mut self, writes: Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        match read(&self.database, |database| commit(database, &writes)) {
            Ok(outcomes) => {
                for (write, outcome) in writes.into_iter().zip(outcomes) {
                    if let Ok(revision) = outcome {
                        let value = write.value.map(|value| Versioned { value, revision });
                        self.tell(&Change { key: write.key, value });
                    }
                    let _ = write.reply.send(outcome);
                }
            }
            Err(error) => {
                // Nothing of the transaction was written. After a failed write the database refuses everything until it
                // is opened again.
                for write in writes {
                    let _ = write.reply.send(Err(error.clone()));
                }
                self.reopen();
            }
        }
    }

    fn tell(&mut self, change: &Change) {
        self.watchers.retain(|(prefix, watcher)| {
            !change.key.starts_with(prefix.as_str()) || watcher.try_send(change.clone()).is_ok()
        });
    }

    fn reopen(&mut self) {
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The lock of the file must be free before it is opened again.
        *guard = None;
        match open_database(&self.path) {
            Ok(database) => *guard = Some(database),
            Err(error) => {
                tracing::error!(%error, "the database cannot be opened again; trying at the next write");
                drop(guard);
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        }
    }
}

/// Writes in one transaction; each write has its own outcome.
fn commit(database: &Database, writes: &[Write]) -> Result<Vec<Result<u64, StoreError>>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut outcomes = Vec::with_capacity(writes.len());
    {
        let mut table = transaction.open_table(RECORDS).map_err(failed)?;
        let mut meta = transaction.open_table(META).map_err(failed)?;
        let mut revision = meta.get(REVISION).map_err(failed)?.map_or(0, |value| value.value());
        for write in writes {
            let key = write.key.as_str();
            let current = table.get(key).map_err(failed)?.map(|value| value.value().0);
            let as_expected = match write.expect {
                Expect::Absent => current.is_none(),
                Expect::Revision(expected) => current == Some(expected),
            };
            if !as_expected {
                outcomes.push(Err(StoreError::Conflict));
                continue;
            }
            revision += 1;
            match &write.value {
                Some(value) => table.insert(key, (revision, value.as_slice())).map_err(failed)?,
                None => table.remove(key).map_err(failed)?,
            };
            outcomes.push(Ok(revision));
        }
        meta.insert(REVISION, revision).map_err(failed)?;
    }
    if outcomes.iter().any(Result::is_ok) {
        transaction.commit().map_err(failed)?;
    } else {
        transaction.abort().map_err(failed)?;
    }
    Ok(outcomes)
}

#[async_trait]
impl Records for FileRecords {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        check_key(key)?;
        read(&self.database, |database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(RECORDS).map_err(failed)?;
            let value = table.get(key).map_err(failed)?;
            Ok(value.map(|value| {
                let (revision, value) = value.value();
                Versioned { value: value.to_vec(), revision }
            }))
        })
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<u64, StoreError> {
        self.write(key, Some(value), expect).await
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        self.write(key, None, Expect::Revision(revision)).await.map(|_| ())
    }

    async fn list(&self, prefix: &str, page: &Page) -> Result<Vec<(String, Versioned)>, StoreError> {
        read(&self.database, |database| list_in(database, prefix, page))
    }

    async fn watch(&self, prefix: &str) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Watch { prefix: prefix.to_owned(), reply })?;
        let answer = answer.await.map_err(|_| StoreError::unavailable("the writing thread has ended"))?;
        let (existing, mut changes) = answer?;
        let (sender, receiver) = mpsc::channel(1024);
        tokio::spawn(async move {
            for (key, value) in existing {
                if sender.send(WatchEvent::Change(Change { key, value: Some(value) })).await.is_err() {
                    return;
                }
            }
            if sender.send(WatchEvent::CaughtUp).await.is_err() {
                return;
            }
            while let Some(change) = changes.recv().await {
                if sender.send(WatchEvent::Change(change)).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}
