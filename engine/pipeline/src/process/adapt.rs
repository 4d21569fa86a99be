//! Following the settings: other rules, another bucket width. Between two packets, never within one.

use std::sync::Arc;

use greyhound_model::metric::MetricKind;
use greyhound_model::origin_table::OriginTable;
use greyhound_model::time::BucketWidth;

use super::{Listener, Processor};
use crate::client::Clients;
use crate::ledger::Ledger;
use crate::rules::Rules;

impl Processor {
    /// Takes who knows the clients behind UDP peers.
    pub fn set_clients(&mut self, clients: Arc<dyn Clients>) {
        self.origins.set_clients(clients);
        let table = Arc::clone(self.origins.table());
        self.set_origins(table);
    }

    /// Takes a new table of origins. Spellings are asked anew what they mean.
    pub fn set_origins(&mut self, table: Arc<OriginTable>) {
        self.origins.set_table(table);
        self.forget_spellings();
    }

    /// Takes other rules. What is in buckets stays as it went in; contexts nobody feeds any more, for
    /// they have another name now, expire like all that fall silent.
    ///
    /// Cost: every spelling passes admission once more.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.mapper_cache.renew(rules.mapper_cache_entries);
        self.rules = rules;
        self.forget_spellings();
    }

    /// Counts for listeners that joined as well.
    pub fn meet_listeners(&mut self, ledger: &Ledger) {
        let infos = ledger.listeners();
        let cells = ledger.cells(self.lane);
        let new = infos.iter().zip(cells).skip(self.listeners.len());
        let new = new.map(|(info, cells)| Listener {
            eol_required: info.eol_required,
            tally: cells.load(),
            kinds: [0; MetricKind::ALL.len()],
            cells,
        });
        self.listeners.extend(new);
    }

    /// Takes another bucket width. An open bucket keeps its start and is over when it has the new
    /// length; who calls sees to it that none starts where one already ended.
    pub fn set_width(&mut self, width: BucketWidth) {
        self.width = width;
    }

    fn forget_spellings(&mut self) {
        let held = self.contexts.all_spelling_bytes();
        self.contexts.forget_spellings();
        self.give_spellings(held);
    }
}
