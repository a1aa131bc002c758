"""The daemon's paces and patience, in seconds. `schedule.py` says what they mean."""

SWITCH_SECONDS = 0.0002  # Python's 5 ms would hold up an order at each answer while another thread computes
REST_SECONDS = 0.00025  # after each quote looked at: in a flood, four fifths of the time are the socket's
TURN_SECONDS = 1.0  # the consumer's turn comes at least so often: it shows that it lives
START_PATIENCE_SECONDS = 60  # the database or the exchange may start later than we do
SWEEP_SPACING_SECONDS = 2.0
SWEEP_STREAM_DOWN_SECONDS = 3.0
SWEEP_UNSETTLED_SECONDS = 5.0
SWEEP_ORDER_OPEN_SECONDS = 30.0
SWEEP_IDLE_SECONDS = 60.0
EVENT_PATIENCE_SECONDS = 5.0  # a request that brought no event by then is asked about
INSTRUMENTS_SECONDS = 3600.0
INSTRUMENTS_AGAIN_SECONDS = 60.0  # while Alpaca's list lacks a pair of ours: that may have been one odd answer
LOOK_AGAIN_SECONDS = 1.0  # a second look at a price asks REST no more often
AWAY_SECONDS = 2.0  # a reconnect takes less; from then on REST's quotes stand in for the stream's
STAND_IN_SECONDS = 2.0  # and are asked for this often
SILENT_SECONDS = 5.0  # without a quote of a pair for so long, REST is asked about it
SILENT_AGAIN_SECONDS = 10.0
MUTE_SECONDS = 2.0  # a stream that still owes a quote which REST had so long before is mute
RETRY_SECONDS = 2.0
HEALTH_SECONDS = 5.0
PULSE_SECONDS = 5.0
STOP_PATIENCE_SECONDS = 3.0  # for requests in flight; what they came to, the next start will ask
STOP_SECONDS = 4.0  # then we go, whatever hangs: a name server, a library's goodbye
