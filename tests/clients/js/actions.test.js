'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { readFileSync } = require('node:fs')
const { client, ECHO, refused, record, annotation } = require('./common')

const ow = client()

test('an action from a string', async () => {
  const made = await ow.actions.create({
    name: 'text', action: ECHO, params: { a: 1, b: { c: ['é'] } }, annotations: { note: 'ü' },
    limits: { timeout: 5000, memory: 128 }, version: '1.2.3'
  })
  assert.equal(made.name, 'text')
  assert.equal(made.version, '1.2.3')
  assert.equal(made.exec.kind, 'nodejs:20')
  assert.equal(made.limits.timeout, 5000)
  assert.equal(made.limits.memory, 128)
  assert.deepEqual(made.parameters, [{ key: 'a', value: 1 }, { key: 'b', value: { c: ['é'] } }])
  assert.equal(annotation(made, 'note'), 'ü')
  await refused(409, () => ow.actions.create({ name: 'text', action: ECHO }), 'resource already exists')
})

test('updates keep what they do not name', async () => {
  await ow.actions.create({ name: 'changed', action: ECHO, params: { kept: true } })
  const changed = await ow.actions.update({ name: 'changed', annotations: { only: 1 } })
  assert.equal(changed.version, '0.0.2')
  assert.deepEqual(changed.parameters, [{ key: 'kept', value: true }])
  assert.equal(annotation(changed, 'only'), 1)
  const replaced = await ow.actions.update({ name: 'changed', action: 'const main = () => ({ now: 2 })', overwrite: true })
  assert.equal(replaced.version, '0.0.3')
  const answer = await ow.actions.invoke({ name: 'changed', blocking: true, result: true })
  assert.deepEqual(answer, { now: 2 })
})

test('an action from an object is sent as it is', async () => {
  const exec = { kind: 'python:default', code: 'def run(args):\n    return {"from": "python"}', main: 'run' }
  const made = await ow.actions.create({ name: 'object', action: { exec, parameters: [{ key: 'x', value: 1 }] } })
  assert.ok(made.exec.kind.startsWith('python:'))
  assert.equal(made.exec.main, 'run')
  assert.deepEqual(await ow.actions.invoke({ name: 'object', blocking: true, result: true }), { from: 'python' })
})

test('an exec beside the code is merged into it', async () => {
  const made = await ow.actions.create({ name: 'merged', action: 'function other() { return { main: "other" } }', exec: { main: 'other' } })
  assert.equal(made.exec.main, 'other')
  assert.deepEqual(await ow.actions.invoke({ name: 'merged', blocking: true, result: true }), { main: 'other' })
})

test('an action from a Buffer with an archive', async () => {
  const made = await ow.actions.create({ name: 'archive', action: readFileSync(process.env.UPWHISK_TEST_ZIP) })
  assert.equal(made.exec.binary, true)
  const answer = await ow.actions.invoke({ name: 'archive', blocking: true, result: true, params: { name: 'Zoë' } })
  assert.deepEqual(answer, { greeting: 'Hello Zoë from an archive' })
})

test('get with and without code', async () => {
  await ow.actions.create({ name: 'got', action: ECHO })
  const whole = await ow.actions.get('got')
  assert.equal(whole.exec.code, ECHO)
  assert.equal(whole.namespace, 'guest')
  const bare = await ow.actions.get({ name: 'got', code: false })
  assert.equal(bare.exec.code, undefined)
  assert.equal(bare.exec.binary, false)
  assert.deepEqual((await ow.actions.get(['got', 'got'])).map(each => each.name), ['got', 'got'])
  assert.equal((await ow.actions.get({ actionName: '/guest/got' })).name, 'got')
  await refused(404, () => ow.actions.get('nowhere'), 'The requested resource does not exist.')
})

test('list, its limits and its count', async () => {
  for (const name of ['listed1', 'listed2', 'listed3']) await ow.actions.create({ name, action: ECHO })
  const all = await ow.actions.list({ limit: 200 })
  assert.ok(['listed1', 'listed2', 'listed3'].every(name => all.some(each => each.name === name)))
  const row = all.find(each => each.name === 'listed1')
  assert.equal(row.exec.code, undefined)
  assert.equal(row.exec.binary, false)
  assert.equal(row.publish, false)
  assert.equal((await ow.actions.list({ limit: 1 })).length, 1)
  const second = await ow.actions.list({ limit: 1, skip: 1 })
  assert.equal(second[0].name, all[1].name)
  assert.deepEqual(await ow.actions.list({ count: true }), { actions: all.length })
  await refused(400, () => ow.actions.list({ limit: 201 }), '201')
})

test('invocations: blocking, result, non-blocking, parameters', async () => {
  await ow.actions.create({ name: 'called', action: ECHO, params: { bound: 'b', over: 'old' } })
  const params = { over: 'new', given: [1, null, { deep: '€' }] }
  const whole = await ow.actions.invoke({ name: 'called', blocking: true, params })
  const expected = { bound: 'b', over: 'new', given: [1, null, { deep: '€' }] }
  assert.deepEqual(whole.response.result, expected)
  assert.equal(whole.response.success, true)
  assert.equal(whole.response.status, 'success')
  assert.match(whole.activationId, /^[0-9a-f]{32}$/)
  assert.deepEqual(await ow.actions.invoke({ name: 'called', blocking: true, result: true, params }), expected)
  const later = await ow.actions.invoke({ name: 'called', params })
  assert.deepEqual(Object.keys(later), ['activationId'])
  assert.deepEqual((await record(ow, later.activationId)).response.result, expected)
  const byName = await ow.actions.invoke('called')
  assert.deepEqual((await record(ow, byName.activationId)).response.result, { bound: 'b', over: 'old' })
  const both = await ow.actions.invoke(['called', { name: 'called' }])
  for (const { activationId } of both) {
    assert.deepEqual((await record(ow, activationId)).response.result, { bound: 'b', over: 'old' })
  }
})

test('failures of the action are rejections with its result', async () => {
  await ow.actions.create({ name: 'sorry', action: 'const main = () => ({ error: "out of tea" })' })
  const failed = await refused(502, () => ow.actions.invoke({ name: 'sorry', blocking: true }), 'out of tea')
  assert.equal(failed.error.response.status, 'application error')
  await ow.actions.create({ name: 'sorry2', action: 'const main = () => ({ error: { statusCode: 418, body: "teapot" } })' })
  await refused(502, () => ow.actions.invoke({ name: 'sorry2', blocking: true, result: true }), 'application error, status code: 418')
  await ow.actions.create({ name: 'throws', action: 'const main = () => { throw new Error("broken") }' })
  const thrown = await refused(502, () => ow.actions.invoke({ name: 'throws', blocking: true }), 'broken')
  assert.equal(thrown.error.response.success, false)
})

test('code that cannot be loaded', async () => {
  await ow.actions.create({ name: 'syntax', action: 'function main( {' })
  const error = await refused(502, () => ow.actions.invoke({ name: 'syntax', blocking: true }), 'Initialization has failed')
  assert.equal(error.error.response.status, 'action developer error')
})

test('an action that is too slow', async () => {
  const action = 'const main = () => new Promise(resolve => setTimeout(resolve, 60000))'
  await ow.actions.create({ name: 'slow', action, limits: { timeout: 300 } })
  await refused(502, () => ow.actions.invoke({ name: 'slow', blocking: true }), 'exceeded its time limits of 300 milliseconds')
})

test('sequences', async () => {
  await ow.actions.create({ name: 'plus', action: 'const main = ({ n }) => ({ n: n + 1 })' })
  const made = await ow.actions.create({ name: 'twice', sequence: ['/_/plus', '/guest/plus'] })
  assert.deepEqual(made.exec.components, ['/guest/plus', '/guest/plus'])
  assert.deepEqual(await ow.actions.invoke({ name: 'twice', blocking: true, result: true, params: { n: 5 } }), { n: 7 })
  const thrice = await ow.actions.update({ name: 'twice', sequence: ['/_/plus', '/_/plus', '/_/plus'] })
  assert.equal(thrice.exec.components.length, 3)
  const whole = await ow.actions.invoke({ name: 'twice', blocking: true, params: { n: 5 } })
  assert.deepEqual(whole.response.result, { n: 8 })
  assert.equal((await record(ow, whole.activationId)).logs.length, 3)
  await refused(400, () => ow.actions.create({ name: 'gap', sequence: ['/_/plus', '/_/nowhere'] }), 'Sequence component does not exist.')
})

test('deletion gives the action back', async () => {
  await ow.actions.create({ name: 'gone', action: ECHO })
  assert.equal((await ow.actions.delete('gone')).name, 'gone')
  await refused(404, () => ow.actions.delete('gone'))
  await refused(404, () => ow.actions.invoke('gone'))
})

test('names with blanks and signs; names that are none', async () => {
  for (const name of ['a blank name', 'at@sign', 'dots.and-dashes', 'this&that']) {
    assert.equal((await ow.actions.create({ name, action: ECHO })).name, name)
    assert.deepEqual(await ow.actions.invoke({ name, blocking: true, result: true, params: { name } }), { name })
    assert.equal((await ow.actions.delete(name)).name, name)
  }
  await refused(400, () => ow.actions.create({ name: 'zoë', action: ECHO }))
  await refused(400, () => ow.actions.create({ name: '-dash', action: ECHO }))
})
