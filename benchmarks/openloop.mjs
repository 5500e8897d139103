// Open-loop load: calls leave by schedule, whether or not earlier ones were answered.
// node openloop.mjs '{"url","headers","body","rate","seconds","grace_s","connections"}' prints one JSON line.
import http from 'node:http'

const plan = JSON.parse(process.argv[2])
const target = new URL(plan.url)
const agent = new http.Agent({ keepAlive: true, maxSockets: plan.connections, scheduling: 'fifo' })
const total = Math.floor(plan.rate * plan.seconds)
const statuses = {}
const good = []
const refused = []
const lateness = []
let sent = 0
let open = 0
let goodInTime = 0
const start = performance.now()
const end = start + plan.seconds * 1000

function call(due) {
  open += 1
  lateness.push(performance.now() - due)
  const began = performance.now()
  const settle = (status) => {
    const now = performance.now()
    open -= 1
    statuses[status] = (statuses[status] || 0) + 1
    if (status === '200') {
      good.push(now - began)
      if (now <= end) goodInTime += 1
    } else if (status === '429' || status === '503') refused.push(now - began)
    if (sent === total && open === 0) report()
  }
  const request = http.request(
    { host: target.hostname, port: target.port, path: target.pathname + target.search, method: 'POST',
      headers: { ...plan.headers, 'Content-Length': Buffer.byteLength(plan.body) }, agent },
    (answer) => {
      answer.resume()
      answer.on('end', () => settle(String(answer.statusCode)))
    })
  request.on('error', (error) => settle(error.code || 'error'))
  request.end(plan.body)
}

function percentiles(values) {
  if (values.length === 0) return { n: 0 }
  values.sort((a, b) => a - b)
  const at = (share) => values[Math.max(0, Math.ceil(values.length * share / 100) - 1)]
  return { n: values.length, p50: at(50), p90: at(90), p99: at(99), max: values[values.length - 1] }
}

function report() {
  console.log(JSON.stringify({
    sent, unanswered: open, good_in_time: goodInTime, statuses,
    good_ms: percentiles(good), refused_ms: percentiles(refused), late_ms: percentiles(lateness) }))
  process.exit(0)
}

function tick() {
  const due = Math.min(total, Math.floor((performance.now() - start) * plan.rate / 1000))
  while (sent < due) {
    sent += 1
    call(start + sent * 1000 / plan.rate)
  }
  if (sent < total) setTimeout(tick, 1)
  else setTimeout(report, plan.grace_s * 1000)
}
tick()
