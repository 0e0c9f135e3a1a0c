"""A decoder that can be told to look into nothing: for records that are known to do harm."""

from __future__ import annotations

import numpy as np

from pipeline.core.decode.decoder import Decoded, Decoder, Records, Reject, event_batch
from schemas.rejects import PAYLOAD_BYTES_MAX, RejectReason


class AsideDecoder(Decoder):
    """A decoder that, while `aside` is set, finds where records begin and end, and rejects all of them."""

    aside = False

    def records(self, records: Records) -> Decoded:
        if not self.aside:
            return super().records(records)
        count = sum(spans.rows for spans in records.spans())
        rejects = [
            Reject(row, RejectReason.QUARANTINED, records.payload(row)[:PAYLOAD_BYTES_MAX])
            for row in range(count)
        ]
        nothing = event_batch([], self.schema)
        return Decoded(count, nothing, np.arange(0), rejects, records.payload)
