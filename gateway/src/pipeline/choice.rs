//! The model of a call: the one that it asks for, unless a rule chooses another; and what its deployments lack for it.

use http::HeaderMap;
use smallvec::SmallVec;

use super::continued::Home;
use super::fallbacks::may_use;
use super::{AWAY_RETRY, Call, Weighed};
use crate::auth::Who;
use crate::clock::unix_now;
use crate::config::{Model, ModelId, Rule, Target};
use crate::error::{Error, Kind};
use crate::route::able::Lack;
use crate::route::rules::{Facts, met};
use crate::shared::Snapshot;

/// Most tags of one call.
const MOST_TAGS: usize = 32;

/// The tags of a call (`x-weir-tags`), each once.
pub(super) fn tags(headers: &HeaderMap) -> Result<Vec<&str>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all("x-weir-tags") {
        for tag in value.to_str().map_err(|_| bad_tags())?.split(',').map(str::trim) {
            let is_tag = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b));
            if !is_tag || tags.len() == MOST_TAGS {
                return Err(bad_tags());
            }
            if !tag.is_empty() && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    Ok(tags)
}

fn bad_tags() -> Error {
    let message =
        "x-weir-tags must be at most 32 tags of letters, digits and ._:/@+- with commas between them.";
    Error::new(Kind::Malformed, message)
}

/// The model that answers to a name, if who calls may ask for it; `None` if only rules know the name.
pub fn asked(snapshot: &Snapshot, who: &Who<'_>, name: &str) -> Result<Option<ModelId>, Error> {
    let model = snapshot.config.find_model(name);
    if model.is_none() && !snapshot.config.is_rule_name(name) {
        return Err(unknown(name));
    }
    if !who.may_use(name) {
        let message = format!("This key may not use the model `{name}`.");
        return Err(Error::new(Kind::ModelForbidden, message).param("model"));
    }
    Ok(model)
}

fn unknown(name: &str) -> Error {
    let message = format!("The model `{name}` does not exist or you do not have access to it.");
    Error::new(Kind::ModelUnknown, message).param("model")
}

/// The model that serves a call, and the rule that says so: the first that the call meets. A call that goes on with what
/// is kept somewhere takes the first whose model can go on there, for a talk may begin easy and become hard; if none can, it
/// is told so by the first.
pub(super) fn choose<'s>(
    snapshot: &'s Snapshot,
    who: &Who<'_>,
    asked: Option<ModelId>,
    (weighed, tags): (&Weighed, &[&str]),
    home: Option<&Home>,
) -> Result<(ModelId, Option<&'s Rule>), Error> {
    let config = &snapshot.config;
    if let (Some(model), true) = (asked, config.rules.is_empty()) {
        return Ok((model, None));
    }
    let line = who.tenant.iter().flat_map(|tenant| std::iter::once(&tenant.name).chain(&tenant.above));
    let tenants: SmallVec<[&str; 4]> = line.map(|name| &**name).collect();
    let facts = &Facts {
        asked: &weighed.peek.model,
        answers: asked.map(|model| config.models[model.0].name.as_str()),
        input: weighed.weight.total().saturating_add(home.map_or(0, |home| home.tokens)),
        uses: weighed.uses,
        tags,
        tenants: &tenants,
        words: &weighed.words,
        metadata: &weighed.metadata,
        now: unix_now(),
    };
    let goes_on = |rule: &&Rule| {
        let targets = &config.models[rule.model.0].targets;
        home.is_none_or(|home| targets.iter().any(|target| home.may_be(config, target.deployment)))
    };
    let rule = met(&config.rules, facts).find(goes_on).or_else(|| met(&config.rules, facts).next());
    let Some(rule) = rule else {
        return asked.map(|model| (model, None)).ok_or_else(|| unknown(facts.asked));
    };
    if asked != Some(rule.model) && !may_use(snapshot, who, rule.model) {
        let name = &snapshot.model_names[rule.model.0];
        let message = format!("This key may not use the model `{name}`, which a rule chooses for this call.");
        return Err(Error::new(Kind::ModelForbidden, message).param("model"));
    }
    Ok((rule.model, Some(rule)))
}

impl Call<'_> {
    /// What the deployment of a target lacks for this call.
    pub(super) fn lack(&self, model: &Model, target: &Target) -> Option<Lack> {
        let config = &self.snapshot.config;
        let chosen = std::ptr::eq(model, &config.models[self.chosen.0]);
        self.demands.lack(model, target, &config.deployments[target.deployment.0], chosen)
    }

    /// No deployment of a model can serve the call, and what stands in the way.
    pub(super) fn nobody(&self, model: &Model) -> Error {
        if model.targets.iter().any(|target| self.is_kept_from(model, target)) {
            let message = "Every deployment that could serve this request is drained by an operator.";
            return Error::new(Kind::Drained, message).retry_after(AWAY_RETRY);
        }
        if let Some(home) = &self.home {
            return home.not_served(&self.peek.model);
        }
        let mut reasons: Vec<String> = Vec::new();
        for target in &model.targets {
            let window = self.snapshot.config.deployments[target.deployment.0].context_window;
            let reason = match self.lack(model, target) {
                _ if self.way(target.deployment).is_none() => "its provider has no such call".to_owned(),
                Some(lack) => lack.to_string(),
                None if !self.needs(0).fit(window) => "the request is longer than it can read".to_owned(),
                None => "the request is of another kind than it takes".to_owned(),
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let reasons = reasons.join(", or ");
        let message =
            format!("No deployment of the model can serve this request; of each of them: {reasons}.");
        Error::new(Kind::NoCandidate, message)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tags_are_read_from_every_header_of_the_name_and_each_once() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-weir-tags", HeaderValue::from_str(value).unwrap());
            }
            tags(&headers).map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(&[]).unwrap(), [""; 0]);
        assert_eq!(read(&["batch, code,batch ,,", "eu"]).unwrap(), ["batch", "code", "eu"]);
        let many = (0..33).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
        for wrong in ["a b", "é", "a;b", &many] {
            assert_eq!(read(&[wrong]).unwrap_err().kind, Kind::Malformed, "{wrong}");
        }
    }
}
