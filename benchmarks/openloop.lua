-- Open-loop load by wrk: calls leave by schedule, whether or not earlier ones were answered.
-- Arguments after `--`: file of request headers ("Name: value" lines), body, calls per second, seconds, connections.
-- Prints one line `RESULT {...}` when every call is answered and ends wrk; without it some never were.
--
-- Each connection takes the next place in the schedule and waits for its time; as long as there are more of them than
-- calls under way, no call leaves late because others are slow. The time of sending travels in X-Request-ID, which the
-- platform answers with, so latencies can be told apart by status. (A generator in Node took 0.15 to 0.5 ms of CPU for
-- each call, on the cores that are measured; this one a tenth of that.)
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long tv_sec; long tv_nsec; } timespec_t;
  int clock_gettime(int clock, timespec_t *now);
]]
local spec = ffi.new("timespec_t")

local function now_ms()
  ffi.C.clock_gettime(1, spec)
  return tonumber(spec.tv_sec) * 1000 + tonumber(spec.tv_nsec) / 1e6
end

local LEAD_MS = 2000 -- all connections are there before the first call
local rate, total, start, window_ms
local placed, sent, open, good_in_time = 0, 0, 0, 0
local statuses, good, refused, late = {}, {}, {}, {}

function init(args)
  wrk.method = "POST"
  for line in io.lines(args[1]) do
    local name, value = line:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  wrk.body = args[2]
  rate, window_ms = tonumber(args[3]), tonumber(args[4]) * 1000
  total = math.floor(rate * window_ms / 1000)
  start = now_ms() + LEAD_MS
end

function delay()
  placed = placed + 1
  if placed > total then return 10000000 end
  return math.max(0, math.floor(start + placed * 1000 / rate - now_ms()))
end

function request()
  local at = now_ms()
  wrk.headers["X-Request-ID"] = string.format("%.3f", at)
  if placed == 0 then return wrk.format() end -- wrk looks at one that it does not send
  sent = sent + 1
  open = open + 1
  late[#late + 1] = math.max(0, at - (start + sent * 1000 / rate))
  return wrk.format()
end

local function shares(values)
  if #values == 0 then return '{"n":0}' end
  table.sort(values)
  local function at(share) return values[math.max(1, math.ceil(#values * share / 100))] end
  return string.format('{"n":%d,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f}', #values, at(50), at(90), at(99), at(100))
end

local function report()
  local parts = {}
  for status, count in pairs(statuses) do parts[#parts + 1] = string.format('"%s":%d', status, count) end
  print(string.format(
    'RESULT {"sent":%d,"unanswered":%d,"good_in_time":%d,"statuses":{%s},"good_ms":%s,"refused_ms":%s,"late_ms":%s,"cpu_us_per_call":%d}',
    sent, open, good_in_time, table.concat(parts, ","), shares(good), shares(refused), shares(late),
    os.clock() * 1e6 / math.max(1, sent)))
  io.stdout:flush()
  os.exit(0)
end

function response(status, headers)
  local at = now_ms()
  local took = at - tonumber(headers["X-Request-ID"])
  open = open - 1
  statuses[status] = (statuses[status] or 0) + 1
  if status == 200 then
    good[#good + 1] = took
    if at <= start + window_ms then good_in_time = good_in_time + 1 end
  elseif status == 429 or status == 503 then
    refused[#refused + 1] = took
  end
  if sent >= total and open == 0 then report() end
end
