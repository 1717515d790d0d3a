import assert from 'node:assert/strict'
import test from 'node:test'
import type { CameraStatus } from '../../src/recorder/camera-recorder.ts'
import { cameraTroubles, isGoneCamera } from '../../src/recorder/camera-troubles.ts'

const nowMs = Date.UTC(2025, 0, 25, 12)
const camera = { name: 'Front', since: '', url: '', restarts: 0 }

function textsOf(status: Partial<CameraStatus>): string[] {
  return cameraTroubles({ ...camera, state: 'recording', ...status }, nowMs, 5).map(
    ({ subject, text, afterMs }) => `${subject}: ${text} after ${afterMs}`,
  )
}

test('a camera that is not recorded is a trouble, and one that has fallen silent', () => {
  const ago = (seconds: number): string => new Date(nowMs - seconds * 1000).toISOString()
  assert.deepEqual(textsOf({ footageUntil: ago(29) }), [])
  assert.deepEqual(textsOf({}), [])
  assert.deepEqual(textsOf({ footageUntil: ago(31) }), [
    'camera Front: not recording: no new video after 5',
  ])
  assert.deepEqual(textsOf({ state: 'waiting', problem: 'refused' }), [
    'camera Front: not recording: refused after 5',
  ])
  assert.deepEqual(textsOf({ state: 'starting' }), [
    'camera Front: not recording: no answer after 5',
  ])
})

test('a camera that is not configured any more is gone, and nothing else', () => {
  assert.equal(isGoneCamera('camera Shed', ['Front']), true)
  assert.equal(isGoneCamera('camera Front', ['Front']), false)
  assert.equal(isGoneCamera('the uploader', ['Front']), false)
})
