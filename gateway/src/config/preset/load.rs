//! The files of presets: those built in, and a directory that replaces and adds.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::super::report::Report;
use super::super::sources::Sources;
use super::{Preset, check};

/// No preset is longer: a directory may hold anything.
const LONGEST_FILE: u64 = 1 << 20;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every file that is built in.
        pub(super) const BUILT_IN: &[(&str, &str)] = &[$(
            ($name, include_str!(concat!("../../../../config/providers/", $name, ".toml"))),
        )*];
    };
}

built_in!(
    "anthropic",
    "azure",
    "azure-foundry",
    "bedrock",
    "bedrock-mantle",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "mistral",
    "ollama",
    "openai",
    "openai-compatible",
    "openrouter",
    "perplexity",
    "together",
    "vertex",
    "vllm",
    "xai",
);

/// All presets by name.
#[derive(Clone, Debug)]
pub struct Presets(BTreeMap<String, Arc<Preset>>);

impl Presets {
    /// Those built in, read once; a report per file that is wrong.
    pub fn built_in() -> Result<Presets, Vec<Report>> {
        static READ: LazyLock<Result<Presets, Vec<Report>>> = LazyLock::new(|| {
            let texts = BUILT_IN.iter().map(|(name, text)| {
                let file = PathBuf::from(format!("config/providers/{name}.toml"));
                check::read(&file, text, name)
            });
            collect(BTreeMap::new(), texts)
        });
        READ.clone()
    }

    /// Those built in, and every `*.toml` of `dir`: one of the same name replaces, another adds. The directory and the files
    /// that were read are added to `sources`; a report per file that is wrong.
    pub fn load(dir: &Path, sources: &mut Sources) -> Result<Presets, Vec<Report>> {
        let Presets(built_in) = Presets::built_in()?;
        let files = sources.list_toml(dir);
        let files = files.map_err(|err| vec![Report::whole_file(dir, format!("cannot be listed: {err}"))])?;
        collect(built_in, files.iter().map(|file| read_file(file, sources)))
    }

    /// The preset of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Preset>> {
        self.0.get(name)
    }

    /// Every name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// `presets` and `more`, which replace; all reports if there are any.
fn collect(
    mut presets: BTreeMap<String, Arc<Preset>>,
    more: impl Iterator<Item = Result<Preset, Report>>,
) -> Result<Presets, Vec<Report>> {
    let mut reports = Vec::new();
    for read in more {
        match read {
            Ok(preset) => drop(presets.insert(preset.name.clone(), Arc::new(preset))),
            Err(report) => reports.push(report),
        }
    }
    if reports.is_empty() { Ok(Presets(presets)) } else { Err(reports) }
}

fn read_file(file: &Path, sources: &mut Sources) -> Result<Preset, Report> {
    let whole = |message: String| Report::whole_file(file, message);
    let about = std::fs::metadata(file).map_err(|err| whole(format!("cannot be read: {err}")))?;
    if !about.is_file() {
        return Err(whole("it is no file".to_owned()));
    }
    if about.len() > LONGEST_FILE {
        return Err(whole("longer than 1 MiB".to_owned()));
    }
    let text = sources.read_text(file).map_err(|err| whole(format!("cannot be read: {err}")))?;
    let name = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    check::read(file, &text, name)
}
