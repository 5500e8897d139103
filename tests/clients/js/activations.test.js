'use strict'

const assert = require('node:assert/strict')
const { before, test } = require('node:test')
const { client, ECHO, refused, record } = require('./common')

const ow = client()
const made = []
let began

before(async () => {
  began = Date.now()
  await ow.actions.create({ name: 'seen', action: ECHO })
  await ow.packages.create({ name: 'shelf' })
  await ow.actions.create({ name: 'shelf/seen', action: ECHO })
  for (const n of [1, 2, 3]) {
    const { activationId } = await ow.actions.invoke({ name: 'seen', blocking: true, params: { n } })
    await record(ow, activationId)
    made.push(activationId)
  }
})

test('a record, its logs and its result', async () => {
  const whole = await ow.activations.get(made[0])
  assert.equal(whole.activationId, made[0])
  assert.equal(whole.name, 'seen')
  assert.equal(whole.namespace, 'guest')
  assert.equal(whole.logs.length, 1)
  assert.match(whole.logs[0], /^\d{4}-\d\d-\d\dT[\d:.]+Z\s+stdout: seen n$/)
  const { logs } = await ow.activations.logs({ activationId: made[0] })
  assert.deepEqual(logs, whole.logs)
  const result = await ow.activations.result({ activation: made[0] })
  assert.deepEqual(result.result, { n: 1 })
  assert.equal(result.success, true)
})

test('lists', async () => {
  const rows = await ow.activations.list({ name: 'seen', limit: 200 })
  assert.deepEqual(rows.map(each => each.activationId), [...made].reverse())
  assert.equal(rows[0].logs, undefined)
  assert.equal(rows[0].statusCode, 0)
  const docs = await ow.activations.list({ name: 'seen', docs: true, limit: 1 })
  assert.deepEqual(docs[0].response.result, { n: 3 })
  assert.equal(docs[0].logs.length, 1)
  assert.deepEqual((await ow.activations.list({ name: 'seen', skip: 1, limit: 1 })).map(each => each.activationId), [made[1]])
  assert.deepEqual(await ow.activations.list({ name: 'seen', count: true }), { activations: 3 })
  const { start } = await ow.activations.get(made[1])
  const since = await ow.activations.list({ name: 'seen', since: start + 1 })
  assert.deepEqual(since.map(each => each.activationId), [made[2]])
  const upto = await ow.activations.list({ name: 'seen', upto: start })
  assert.deepEqual(upto.map(each => each.activationId), [made[1], made[0]])
  assert.deepEqual(await ow.activations.list({ name: 'seen', upto: began - 1 }), [])
})

test('lists by an action in a package', async () => {
  const { activationId } = await ow.actions.invoke({ name: 'shelf/seen', blocking: true })
  await record(ow, activationId)
  const rows = await ow.activations.list({ name: 'shelf/seen' })
  assert.deepEqual(rows.map(each => each.activationId), [activationId])
})

test('what is no activation', async () => {
  await refused(404, () => ow.activations.get('0'.repeat(32)), 'The requested resource does not exist.')
  await refused(404, () => ow.activations.logs('0'.repeat(32)))
  await refused(404, () => ow.activations.result('0'.repeat(32)))
  await refused(400, () => ow.activations.get('nonsense'))
  assert.throws(() => ow.activations.get({}), /Missing mandatory activation parameter/)
})
