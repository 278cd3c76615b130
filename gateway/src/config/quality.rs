//! `quality`: how well a deployment does its tasks, as its users judge it.

/// From 0 to 1, by the tag of the task.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Of tasks that are not listed.
    pub default: f64,
    /// Of these.
    pub by_task: Vec<(String, f64)>,
}

impl Quality {
    /// Of a call with these tags: of its hardest task.
    pub fn of(&self, tags: &[&str]) -> f64 {
        let listed = self.by_task.iter().filter(|(task, _)| tags.contains(&task.as_str()));
        listed.map(|(_, quality)| *quality).min_by(f64::total_cmp).unwrap_or(self.default)
    }

    /// The best of any task.
    pub fn best(&self) -> f64 {
        self.by_task.iter().map(|(_, quality)| *quality).fold(self.default, f64::max)
    }
}
