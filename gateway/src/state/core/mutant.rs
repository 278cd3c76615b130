//! Protections that tests remove one at a time, to see that some test notices. In any other build every switch
//! is the constant `false`.

macro_rules! mutants {
    ($($name:ident,)*) => {
        /// A way to break the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // each is described where it is used
        pub enum Mutant {
            $($name,)*
        }

        impl Mutant {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];
        }
    };
}

mutants! {
    ExpiredHoldReleased,
    NothingLearned,
    ExpiredHoldPostedEarly,
    EndHoldPostedWithHead,
    OneExpiryPerStep,
    NoExtraBucket,
    NoGuardBucket,
    StepBackFreezes,
    StepForwardBelieved,
    SnapshotReplacesCounters,
    IncarnationReused,
    AbsentRecordRecreated,
    DuplicateJoinRecreates,
    RenewedWithoutAck,
    HoldClamped,
    SamePoolCheckedTwice,
    PartialReserve,
    TooBigWaits,
    CapFromCaller,
    MaxMissing,
    HoldNotCounted,
    ShorterRestWins,
    RestIgnored,
    PaceIgnored,
    RetryTooEarly,
    PinBeatsLimits,
    PinNeverExpires,
    CommonWaitAlone,
    LapsedDraws,
    DeafDraws,
    HardShareFloored,
    ImageMergedIntoWindow,
    UnseenPostsForgotten,
    LearningEndedByFirst,
    OrphansDropped,
    NewHoldsHideOld,
    HistoriesMixed,
    LearntForgotten,
    CutEpochSetAside,
    CutEpochLeftBehind,
    UnheardTakenOff,
    OlderLivesUntold,
    LearningSkipped,
    ToldTwice,
    NoBarrier,
    BarrierForTheLivingOnly,
    SharedLimitRaised,
    UncountedDrawsShared,
    UnseenIsEmpty,
    SharedAtOnce,
    WholeShares,
    PastForgotten,
    JoinCountsAsTold,
    DeathWhileLearning,
    OldEpochGrantUsed,
    OwnHistoriesOnly,
    LearningEndedByNewcomer,
    ProbesPileUp,
    AnyPermitCounts,
    RecoversAtOnce,
    LoneNeverTried,
    OldFailuresCount,
    OneSpeaksForAll,
    NeverLonger,
    CheckedAndProbed,
    AccountPassed,
    NobodyYields,
    SavesUp,
    DeadStayBusy,
    LevelsPileUp,
    BudgetsKept,
    LoansPileUp,
    LentWithoutRoom,
    // the replica's side
    SettledTwice,
    ExcessDropped,
    OverBeforeAllIsPosted,
    ReturnedBeforePosted,
    PostedBeforeHead,
    ReleasedAfterBytes,
    LostGrantKept,
    BalanceTakenTwice,
    SentAfterDeadline,
    DeadlineFromReceipt,
    LoanUsedTwice,
    LoanOutlivesLife,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Is this protection removed?
#[cfg(test)]
pub fn on(mutant: Mutant) -> bool {
    ACTIVE.with(|active| active.get() == Some(mutant))
}

/// Is this protection removed? Never, outside this crate's own tests.
#[cfg(not(test))]
#[inline(always)]
pub fn on(_: Mutant) -> bool {
    false
}

/// Runs `body` with a protection removed on this thread.
#[cfg(test)]
pub fn without<T>(mutant: Mutant, body: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            ACTIVE.with(|active| active.set(None));
        }
    }
    ACTIVE.with(|active| active.set(Some(mutant)));
    let _restore = Restore;
    body()
}
