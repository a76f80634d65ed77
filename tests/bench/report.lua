-- What wrk tells the bench when it is done: one line of JSON.
-- wrk's own text rounds the latency to three digits; this keeps microseconds.
-- Only done() is defined, so wrk calls no Lua while it measures.
function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "p99_us": %d, "status": %d, "socket": %d, "timeout": %d}\n',
      summary.requests, summary.duration, latency:percentile(99.0),
      e.status, e.connect + e.read + e.write, e.timeout))
end
