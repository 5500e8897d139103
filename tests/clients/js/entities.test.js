'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { client, ECHO, refused, record, annotation } = require('./common')

const ow = client()

test('triggers', async () => {
  const trigger = { parameters: [{ key: 'from', value: 'trigger' }], annotations: [{ key: 'why', value: 'ünï' }] }
  const made = await ow.triggers.create({ name: 't one', trigger })
  assert.equal(made.name, 't one')
  assert.deepEqual(made.parameters, trigger.parameters)
  assert.equal(annotation(made, 'why'), 'ünï')
  await refused(409, () => ow.triggers.create({ name: 't one' }), 'resource already exists')
  const changed = await ow.triggers.update({ triggerName: 't one', annotations: { other: 1 } })
  assert.equal(changed.version, '0.0.2')
  assert.deepEqual(changed.parameters, trigger.parameters)
  assert.equal((await ow.triggers.get('t one')).version, '0.0.2')
  assert.ok((await ow.triggers.list({ limit: 10 })).some(each => each.name === 't one'))
  assert.deepEqual(await ow.triggers.list({ count: true }), { triggers: 1 })
  assert.equal(String(await ow.triggers.invoke({ name: 't one', params: { a: 1 } })), '', '204 without rules')
  assert.equal((await ow.triggers.delete('t one')).name, 't one')
  await refused(404, () => ow.triggers.invoke('t one'))
})

test('rules: create, fire, disable, enable, update, delete', async () => {
  await ow.actions.create({ name: 'answered', action: ECHO })
  await ow.actions.create({ name: 'answered2', action: ECHO })
  await ow.triggers.create({ name: 'rung', trigger: { parameters: [{ key: 'bell', value: 'big' }] } })
  const made = await ow.rules.create({ name: 'r', trigger: 'rung', action: '/_/answered', annotations: { a: 1 } })
  assert.equal(made.status, 'active')
  assert.deepEqual(made.trigger, { path: 'guest', name: 'rung' })
  assert.deepEqual(made.action, { path: 'guest', name: 'answered' })
  await refused(409, () => ow.rules.create({ name: 'r', trigger: 'rung', action: 'answered' }))
  await fired('answered')
  await ow.rules.disable({ name: 'r' })
  assert.equal((await ow.rules.get('r')).status, 'inactive')
  assert.equal(String(await ow.triggers.invoke('rung')), '', '204 with no active rule')
  await ow.rules.enable({ ruleName: 'r' })
  assert.equal((await ow.rules.get('r')).status, 'active')
  const changed = await ow.rules.update({ name: 'r', trigger: '/guest/rung', action: 'answered2' })
  assert.equal(changed.action.name, 'answered2')
  assert.equal(changed.version, '0.0.2')
  await fired('answered2')
  const rows = await ow.rules.list({ limit: 5 })
  assert.deepEqual(rows.map(each => [each.name, each.trigger.name]), [['r', 'rung']])
  assert.deepEqual(await ow.rules.list({ count: true }), { rules: 1 })
  assert.equal((await ow.rules.delete('r')).name, 'r')
  await refused(404, () => ow.rules.get('r'))
  await refused(404, () => ow.rules.disable({ name: 'r' }))
  await refused(400, () => ow.rules.create({ name: 'r', trigger: 'nowhere', action: 'answered' }), 'does not exist')
})

async function fired (name) {
  const { activationId } = await ow.triggers.invoke({ name: 'rung', params: { loud: true } })
  const firing = await record(ow, activationId)
  assert.equal(firing.name, 'rung')
  const [line] = firing.logs.map(JSON.parse)
  assert.equal(line.rule, 'guest/r')
  const effect = await record(ow, line.activationId)
  assert.equal(effect.name, name)
  const { __ow_headers: headers, ...seen } = effect.response.result
  assert.deepEqual(seen, { bell: 'big', loud: true })
  assert.equal(headers['user-agent'], 'openwhisk-client-js')
  assert.equal(headers.authorization, undefined)
}

test('packages and what is in them', async () => {
  const made = await ow.packages.create({ name: 'box', package: { parameters: [{ key: 'p', value: 'box' }], publish: false } })
  assert.deepEqual([made.name, made.publish, made.binding], ['box', false, {}])
  await refused(409, () => ow.packages.create('box'))
  await ow.actions.create({ name: 'box/inner', action: ECHO, params: { q: 1 } })
  assert.deepEqual(await ow.actions.invoke({ name: 'box/inner', blocking: true, result: true }), { p: 'box', q: 1 })
  assert.deepEqual(await ow.actions.invoke({ name: '/guest/box/inner', blocking: true, result: true }), { p: 'box', q: 1 })
  assert.deepEqual((await ow.packages.get('box')).actions.map(each => each.name), ['inner'])
  const shared = await ow.packages.update({ packageName: 'box', package: { publish: true } })
  assert.deepEqual([shared.publish, shared.version], [true, '0.0.2'])
  assert.equal((await ow.actions.list()).find(each => each.name === 'inner').namespace, 'guest/box')
  const rows = await ow.packages.list({ limit: 10 })
  assert.equal(rows.find(each => each.name === 'box').publish, true)
  assert.deepEqual((await ow.packages.list({ limit: 1, skip: rows.length - 1 })).map(each => each.name), [rows.at(-1).name])
  assert.ok((await ow.packages.list({ public: true })).some(each => each.name === 'box'))
  assert.deepEqual(await ow.packages.list({ count: true }), { packages: rows.length })
  await refused(409, () => ow.packages.delete('box'), 'Package not empty (contains 1 entity)')
  await ow.actions.delete('box/inner')
  assert.equal((await ow.packages.delete('box')).name, 'box')
  await refused(404, () => ow.packages.get('box'))
})

test('feeds', async () => {
  await ow.triggers.create({ name: 'fed' })
  await ow.actions.create({ name: 'feeder', action: ECHO, annotations: { feed: true } })
  for (const [verb, event] of [['create', 'CREATE'], ['get', 'READ'], ['update', 'UPDATE'], ['delete', 'DELETE']]) {
    const answer = await ow.feeds[verb]({ name: 'feeder', trigger: 'fed', params: { every: 5 } })
    const { lifecycleEvent, triggerName, authKey, every } = answer.response.result
    assert.deepEqual([lifecycleEvent, triggerName, every], [event, '/_/fed', 5])
    assert.equal(authKey, process.env.UPWHISK_TEST_KEY)
  }
})

test('namespaces', async () => {
  assert.deepEqual(await ow.namespaces.list(), ['guest'])
  const all = await ow.namespaces.get()
  assert.deepEqual(Object.keys(all).sort(), ['actions', 'packages', 'rules', 'triggers'])
  assert.ok(all.actions.some(each => each.name === 'answered'))
  assert.ok(all.triggers.some(each => each.name === 'rung'))
})
