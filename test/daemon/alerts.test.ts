import assert from 'node:assert/strict'
import test from 'node:test'
import { Alerts, type Alert, type Trouble } from '../../src/daemon/alerts.ts'

const minuteMs = 60_000
const down: Trouble = { subject: 'camera Front', text: 'not recording: off', afterMs: 2 * minuteMs }

const known = { subject: 'camera Front', text: 'off', calmMs: minuteMs }

/** Alerts under a clock of our own, looked at every five seconds. */
function watched(before: Alert[] = []) {
  const said: string[] = []
  let nowMs = 1_000_000_000_000
  const clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs - 7e11,
    bootMs: () => nowMs,
    sleep: async () => {},
  }
  const alerts = new Alerts({ tell: (text) => void said.push(text), clock }, before)
  const pass = (seconds: number, ...troubles: Trouble[]): void => {
    for (let passed = 0; passed < seconds; passed += 5) {
      nowMs += 5000
      alerts.look(troubles)
    }
  }
  return { alerts, said, pass }
}

test('a trouble is told once it has lasted, and once it is over, with how long it was', () => {
  const { alerts, said, pass } = watched()
  pass(115, down)
  assert.deepEqual(said, [])
  pass(600, down)
  assert.deepEqual(said, ['camera Front: not recording: off (for 2 min)'])
  assert.deepEqual(
    alerts.open.map(({ subject, text, isTold }) => [subject, text, isTold]),
    [['camera Front', 'not recording: off', true]],
  )
  pass(65)
  assert.deepEqual(said.slice(1), ['camera Front: well again, after 11 min'])
  assert.deepEqual(alerts.open, [])
  pass(600)
  assert.equal(said.length, 2)
})

test('nothing flaps: what comes and goes is one trouble', () => {
  const { said, pass } = watched()
  for (let round = 0; round < 20; round += 1) {
    pass(20, down)
    pass(30)
  }
  assert.deepEqual(said, ['camera Front: not recording: off (it comes and goes, for 2 min)'])
  pass(70)
  assert.equal(said.length, 2)
})

test('what is back within the hour needs twice the calm, up to a quarter of an hour', () => {
  const { said, pass } = watched()
  for (let round = 0; round < 36; round += 1) {
    pass(130, down)
    pass(70)
  }
  assert.equal(said.length, 3, said.join('\n'))
  pass(60)
  assert.match(said[3] ?? '', /well again/)
  pass(3600)
  pass(130, down)
  pass(65)
  assert.equal(said.length, 6)
})

test('what is mild keeps open what was told, and begins nothing', () => {
  const { alerts, said, pass } = watched()
  pass(300, { ...down, isMild: true })
  assert.deepEqual(alerts.open, [])
  pass(120, down)
  pass(5, down)
  pass(300, { ...down, isMild: true })
  assert.equal(said.length, 1)
  pass(65)
  assert.deepEqual(said.slice(1), ['camera Front: well again, after 7 min'])
})

test('what is forgotten is not told of again, not even that it is over', () => {
  const since = new Date(1_000_000_000_000 - minuteMs).toISOString()
  const { alerts, said, pass } = watched([
    { ...known, since, isTold: true },
    { ...known, subject: 'camera Shed', since, isTold: true },
  ])
  alerts.forget(({ subject }) => subject === 'camera Shed')
  pass(300)
  assert.deepEqual(said, ['camera Front: well again, after 60 s'])
})

test('what is over before it has lasted is not told', () => {
  const { said, pass } = watched()
  for (let round = 0; round < 20; round += 1) {
    pass(60, down)
    pass(70)
  }
  assert.deepEqual(said, [])
})

test('each subject counts for itself, and what tells of its own time is told at once', () => {
  const { said, pass } = watched()
  pass(10, down)
  pass(5, down, { subject: 'uploads', text: 'a file has been waiting for 60 min', afterMs: 0 })
  assert.deepEqual(said, ['uploads: a file has been waiting for 60 min'])
})

test('what an earlier process told is not told again, and is taken back when it is over', () => {
  const since = new Date(1_000_000_000_000 - 10 * minuteMs).toISOString()
  const { said, pass } = watched([{ ...known, since, isTold: true }])
  pass(300, down)
  assert.deepEqual(said, [])
  pass(65)
  assert.deepEqual(said, ['camera Front: well again, after 15 min'])
})

test('what needed a longer calm before a restart needs it still', () => {
  const since = new Date(1_000_000_000_000 - minuteMs).toISOString()
  const { said, pass } = watched([{ ...known, since, isTold: true, calmMs: 10 * minuteMs }])
  pass(600)
  assert.deepEqual(said, [])
  pass(5)
  assert.equal(said.length, 1)
})

test('what an earlier process knew and had not told yet goes on to last', () => {
  const since = new Date(1_000_000_000_000 - minuteMs).toISOString()
  const { said, pass } = watched([{ ...known, since, isTold: false }])
  pass(50, down)
  assert.deepEqual(said, [])
  pass(10, down)
  assert.deepEqual(said, ['camera Front: not recording: off (for 2 min)'])
})

test('a trouble may have lasted before it was seen, and may need a longer calm', () => {
  const { said, pass } = watched()
  pass(5, { ...down, lastedMs: 119_000, calmMs: 10 * minuteMs })
  assert.deepEqual(said, [])
  pass(5, { ...down, lastedMs: 124_000, calmMs: 10 * minuteMs })
  assert.deepEqual(said, ['camera Front: not recording: off (for 2 min)'])
  pass(600)
  assert.equal(said.length, 1)
  pass(5)
  assert.equal(said.length, 2)
})
