import assert from 'node:assert/strict'
import test from 'node:test'
import type { CameraStatus } from '../../src/recorder/camera-recorder.ts'
import { cameraTroubles, isGoneCamera } from '../../src/recorder/camera-troubles.ts'

const nowMs = Date.UTC(2025, 0, 25, 12)
function ago(seconds: number): string {
  return new Date(nowMs - seconds * 1000).toISOString()
}

/** What is told of a camera that has been in a state for ten seconds; mild troubles in brackets. */
function told(status: Partial<CameraStatus>): string[] {
  const camera = { ...{ name: 'Front', url: '', restarts: 0 }, state: 'recording' as const }
  return cameraTroubles({ ...camera, since: ago(10), ...status }, nowMs, 60_000).map(
    ({ subject, text, lastedMs, isMild }) => {
      const said = `${subject}: ${text} (${lastedMs} ms)`
      return isMild ? `(${said})` : said
    },
  )
}

test('a camera that is not recorded is a trouble, and one that has fallen silent', () => {
  assert.deepEqual(told({}), [])
  assert.deepEqual(told({ footageUntil: ago(29) }), [])
  assert.deepEqual(told({ footageUntil: ago(31) }), [
    'camera Front: not recording: no new video (31000 ms)',
  ])
  assert.deepEqual(told({ state: 'waiting', problem: 'refused' }), [
    'camera Front: not recording: refused (10000 ms)',
  ])
})

test('a camera that connects for the first time is no trouble yet', () => {
  assert.deepEqual(told({ state: 'starting' }), [
    '(camera Front: not recording: no answer (10000 ms))',
  ])
  for (const status of [{ problem: 'refused' }, { since: ago(60) }])
    assert.match(told({ state: 'starting', ...status })[0] ?? '', /^camera Front: not recording/)
})

test('a camera that is not configured any more is gone, and nothing else', () => {
  assert.equal(isGoneCamera('camera Shed', ['Front']), true)
  assert.equal(isGoneCamera('camera Front', ['Front']), false)
  assert.equal(isGoneCamera('the uploader', ['Front']), false)
})
