-- One closed-loop run of wrk. Arguments after `--`: file of request headers ("Name: value" lines), body.
-- At the end it prints one line `RESULT {...}` with every latency in microseconds and how often it occurred.
function init(args)
  wrk.method = "POST"
  for line in io.lines(args[1]) do
    local name, value = line:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  wrk.body = args[2]
end

function done(summary, latency, requests)
  local parts = {}
  for i = 1, #latency do
    local value, count = latency(i)
    if count > 0 then parts[#parts + 1] = string.format("[%d,%d]", value, count) end
  end
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests":%d,"duration_us":%d,"status":%d,"broken":%d,"latency":[%s]}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, table.concat(parts, ",")))
end
