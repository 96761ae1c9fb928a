//! The actions that the tests of roles try.

/// Actions that only some functions are allowed. None has an effect, whether allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    ReadToken,
    ReadProfiles,
    WriteProfiles,
    UpdateChannels,
    DeleteChannels,
    UpdateSlackUsers,
    DeleteSlackUsers,
    WriteDeliveries,
    WriteItems,
    UpdateDeliveries,
    UpdateRateLimits,
    WriteReceipts,
    StartNotifyPrivate,
    StartNotifyPublic,
    StartNotifyPerson,
    StartUpdateItem,
    StartDelete,
    ReadExecution,
    ReadHistory,
    ListExecutions,
    PublishElsewhere,
    PutEvent,
    PutEventElsewhere,
    InvokeStep,
    LookAtBounties,
    ScanTables,
    ReadAnotherSecret,
    ListBuckets,
}

use Probe::*;

impl Probe {
    pub const ALL: [Self; 28] = [
        ReadToken,
        ReadProfiles,
        WriteProfiles,
        UpdateChannels,
        DeleteChannels,
        UpdateSlackUsers,
        DeleteSlackUsers,
        WriteDeliveries,
        WriteItems,
        UpdateDeliveries,
        UpdateRateLimits,
        WriteReceipts,
        StartNotifyPrivate,
        StartNotifyPublic,
        StartNotifyPerson,
        StartUpdateItem,
        StartDelete,
        ReadExecution,
        ReadHistory,
        ListExecutions,
        PublishElsewhere,
        PutEvent,
        PutEventElsewhere,
        InvokeStep,
        LookAtBounties,
        ScanTables,
        ReadAnotherSecret,
        ListBuckets,
    ];
}
