// Open-loop load: calls leave by schedule, whether or not earlier ones were answered.
// node openloop.mjs '{"url","headers","body","rate","seconds","grace_s","connections"}' prints one JSON line.
//
// Speaks HTTP/1.1 itself, over plain sockets: the generator sits on the cores that it measures, and Node's own client
// takes 0.3 to 0.5 ms of CPU for a call, this one 0.05.
import net from 'node:net'

const plan = JSON.parse(process.argv[2])
const target = new URL(plan.url)
const lines = Object.entries(plan.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')
const request = Buffer.from(
  `POST ${target.pathname}${target.search} HTTP/1.1\r\nHost: ${target.host}\r\n${lines}` +
  `Content-Length: ${Buffer.byteLength(plan.body)}\r\n\r\n${plan.body}`)
const total = Math.floor(plan.rate * plan.seconds)
const statuses = {}
const good = []
const refused = []
const lateness = []
const idle = []
const waiting = []
let connections = 0
let sent = 0
let open = 0
let goodInTime = 0
const start = performance.now()
const end = start + plan.seconds * 1000

// One connection carries one call at a time.
class Connection {
  constructor() {
    connections += 1
    this.began = 0
    this.busy = false
    this.head = ''
    this.left = -1 // bytes of the body still to come; -1: the head is not complete
    this.status = ''
    this.socket = net.connect({ host: target.hostname, port: target.port, noDelay: true })
    this.socket.on('data', (data) => this.received(data))
    this.socket.on('error', () => {})
    this.socket.on('close', () => this.closed())
  }

  send(began) {
    this.busy = true
    this.began = began
    this.socket.write(request)
  }

  received(data) {
    if (this.left < 0) {
      this.head += data.latin1Slice()
      const at = this.head.indexOf('\r\n\r\n')
      if (at < 0) return
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.head)
      this.status = this.head.slice(9, 12)
      this.left = (length ? Number(length[1]) : 0) - (this.head.length - at - 4)
      this.head = ''
    } else this.left -= data.length
    if (this.left > 0) return
    this.left = -1
    this.busy = false
    settle(this.status, this.began)
    const next = waiting.shift()
    if (next === undefined) idle.push(this)
    else this.send(next)
  }

  closed() {
    connections -= 1
    const at = idle.indexOf(this)
    if (at >= 0) idle.splice(at, 1)
    if (this.busy) settle('closed', this.began)
  }
}

function settle(status, began) {
  const now = performance.now()
  open -= 1
  statuses[status] = (statuses[status] || 0) + 1
  if (status === '200') {
    good.push(now - began)
    if (now <= end) goodInTime += 1
  } else if (status === '429' || status === '503') refused.push(now - began)
  if (sent === total && open === 0) report()
}

function call(due) {
  open += 1
  const began = performance.now()
  lateness.push(began - due)
  const free = idle.pop()
  if (free !== undefined) free.send(began)
  else if (connections < plan.connections) new Connection().send(began)
  else waiting.push(began)
}

function percentiles(values) {
  if (values.length === 0) return { n: 0 }
  values.sort((a, b) => a - b)
  const at = (share) => values[Math.max(0, Math.ceil(values.length * share / 100) - 1)]
  return { n: values.length, p50: at(50), p90: at(90), p99: at(99), max: values[values.length - 1] }
}

function report() {
  const used = process.cpuUsage()
  console.log(JSON.stringify({
    sent, unanswered: open, good_in_time: goodInTime, statuses,
    good_ms: percentiles(good), refused_ms: percentiles(refused), late_ms: percentiles(lateness),
    cpu_us_per_call: Math.round((used.user + used.system) / Math.max(1, sent)) }))
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
