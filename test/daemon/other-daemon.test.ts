import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { lastAlerts, OtherDaemon } from '../../src/daemon/other-daemon.ts'
import { HeldClock } from '../support/held-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

async function watched(t: TestContext) {
  const folder = await temporaryFolder(t)
  const clock = new HeldClock()
  const other = new OtherDaemon({ folder, name: 'recorder', steadyAfterMs: 30_000 }, clock)
  /** It writes its status, some seconds after its start. */
  const says = async (upSeconds: number, more: object = {}): Promise<void> => {
    const updatedAt = new Date(clock.now()).toISOString()
    const startedAt = new Date(clock.now() - upSeconds * 1000).toISOString()
    const path = join(folder, 'recorder.json')
    await writeFile(path, JSON.stringify({ startedAt, updatedAt, ...more }))
    await utimes(path, clock.now() / 1000, clock.now() / 1000)
  }
  return { clock, other, says, path: join(folder, 'recorder.json') }
}

test('a status that is written anew is a sign of life', async (t) => {
  const { clock, other, says } = await watched(t)
  for (let up = 30; up < 60; up += 2) {
    await says(up)
    assert.deepEqual(await other.look(), {
      silentMs: 0,
      unsteadyMs: 0,
      speechlessMs: 0,
      alerts: [],
    })
    await clock.advance(2000)
  }
  for (let passed = 0; passed < 60; passed += 2) {
    await other.look()
    await clock.advance(2000)
  }
  const { silentMs, unsteadyMs, speechlessMs } = await other.look()
  assert.deepEqual([silentMs, unsteadyMs, speechlessMs], [62_000, 62_000, 62_000])
})

test('one that is started again and again gives signs of life, but none that it is steady', async (t) => {
  const { clock, other, says } = await watched(t)
  for (let life = 0; life < 20; life += 1)
    for (let up = 0; up < 6; up += 2) {
      await says(up)
      await other.look()
      await clock.advance(2000)
    }
  await says(0)
  const { silentMs, unsteadyMs } = await other.look()
  assert.deepEqual([silentMs, unsteadyMs], [0, 120_000])
})

test('one that was never there is silent, and on a full disk a touch will do', async (t) => {
  const { clock, other, path } = await watched(t)
  await clock.advance(10_000)
  assert.equal((await other.look()).silentMs, 10_000)
  await writeFile(path, '')
  await clock.advance(10_000)
  const { silentMs, unsteadyMs, speechlessMs } = await other.look()
  assert.deepEqual([silentMs, unsteadyMs, speechlessMs], [0, 0, 20_000])
})

test('one that only touches what it said says nothing', async (t) => {
  const { clock, other, says, path } = await watched(t)
  await says(60)
  for (let passed = 0; passed < 20; passed += 2) {
    await utimes(path, clock.now() / 1000, clock.now() / 1000)
    await other.look()
    await clock.advance(2000)
  }
  const { silentMs, speechlessMs } = await other.look()
  assert.deepEqual([silentMs, speechlessMs], [2000, 20_000])
})

test('while we stood still ourselves, it has missed nothing', async (t) => {
  const { clock, other, says } = await watched(t)
  await says(60)
  await other.look()
  await clock.advance(600_000)
  assert.equal((await other.look()).silentMs, 10_000)
})

test('its alerts are read, and nonsense is none', async (t) => {
  const { other, says } = await watched(t)
  const alert = {
    subject: 'camera Front',
    text: 'off',
    since: '2025-01-25T12:00:00Z',
    isTold: true,
    calmMs: 90_000,
  }
  await says(60, { alerts: [alert] })
  assert.deepEqual((await other.look()).alerts, [alert])
  for (const alerts of [[null], 'none', [{ subject: 'x' }]]) {
    await says(60, { alerts })
    assert.deepEqual((await other.look()).alerts, [])
  }
  assert.deepEqual(lastAlerts(undefined), { alerts: [], alertsWaiting: [], saidMs: 0 })
})
