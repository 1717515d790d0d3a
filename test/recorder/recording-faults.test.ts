import assert from 'node:assert/strict'
import test from 'node:test'
import type { Log } from '../../src/daemon/logger.ts'
import type { Camera } from '../../src/recorder/config.ts'
import { RecordingFaults, type RecordingFacts } from '../../src/recorder/recording-faults.ts'

const camera: Camera = {
  ...{ number: 3, name: 'Front', url: 'rtsp://camera/' },
  transport: 'tcp',
  audio: 'auto',
}
const aac = { video: 'h264', audio: 'aac' }

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Sees a recording of 25 frames and 8 samples of sound a second, once a second. */
function seen(
  seconds: number,
  factsAt: (second: number) => Partial<RecordingFacts>,
): { faults: RecordingFaults; said: [number, string][] } {
  const said: [number, string][] = []
  let second = 0
  const say = (_: object, sentence: string): number => said.push([second, sentence])
  const faults = new RecordingFaults(camera, { ...silent, warn: say, info: say })
  for (; second <= seconds; second += 1) {
    const framesPassed = 25 * second
    const whole = { framesPassed, framesWritten: framesPassed - 60, soundsWritten: 8 * second }
    faults.see({ nowMs: second * 1000, begunMs: 0, stream: aac, ...whole, ...factsAt(second) })
  }
  return { faults, said }
}

test('a recording of everything that comes has no fault', () => {
  assert.deepEqual(seen(300, () => ({})).said, [])
})

test('sound that is promised and never reaches the file is said once, within 60 s', () => {
  const { faults, said } = seen(600, () => ({ soundsWritten: 0 }))
  assert.deepEqual(said, [[50, 'recorded without sound']])
  assert.match(faults.faults[0]?.text ?? '', /promises aac.*CAMERA_3_AUDIO=none/)
})

test('that sound has come back is said, and a short pause is not', () => {
  const soundsAt = (second: number): number =>
    second < 100 ? second : second < 130 ? 100 : second < 200 ? second : Math.max(200, second - 70)
  const { faults, said } = seen(300, (second) => ({ soundsWritten: soundsAt(second) }))
  assert.deepEqual(said, [
    [250, 'recorded without sound'],
    [271, 'sound is recorded'],
  ])
  assert.deepEqual(faults.faults, [])
})

test('a reconnection is no reason to say it again', () => {
  const { said } = seen(300, (second) => ({
    ...{ soundsWritten: 0, framesPassed: 25 * (second % 100) },
    ...{ framesWritten: 25 * (second % 100), begunMs: 100_000 * Math.floor(second / 100) },
  }))
  assert.deepEqual(said, [[50, 'recorded without sound']])
})

test('sound that is not wanted, or not promised, is not missed', () => {
  const none = { ...camera, audio: 'none' as const }
  const faults = new RecordingFaults(none, silent)
  const facts = { nowMs: 0, begunMs: 0, framesPassed: 0, framesWritten: 0, soundsWritten: 0 }
  for (const nowMs of [0, 100_000]) faults.see({ ...facts, nowMs, stream: aac })
  assert.deepEqual(faults.faults, [])
  assert.deepEqual(
    seen(100, () => ({ soundsWritten: 0, stream: { video: 'h264', audio: undefined } })).said,
    [],
  )
})

test('sound that cannot be recorded is said at once', () => {
  const { faults, said } = seen(100, () => ({
    ...{ soundsWritten: 0, stream: { video: 'h264', audio: 'unknown' } },
  }))
  assert.deepEqual(said, [[0, 'recorded without sound']])
  assert.match(faults.faults[0]?.text ?? '', /FFmpeg does not know.*CAMERA_3_AUDIO=none/)
})

test('frames that reach the file ten seconds late are a fault that needs attention, within 60 s', () => {
  const { faults, said } = seen(300, (second) => ({ framesWritten: 25 * Math.max(0, second - 10) }))
  const [at = 0, sentence] = said[0] ?? []
  assert.ok(
    said.length === 1 && sentence === 'frames reach the file late' && at <= 60,
    String(said),
  )
  assert.equal(faults.faults[0]?.isGrave, true)
})

test('a disk that is slow for a while is none, nor a frame each four seconds', () => {
  const slow = seen(300, (second) => ({
    framesWritten: second > 100 && second < 120 ? 2500 : 25 * second,
  }))
  assert.deepEqual(slow.said, [])
  const rare = seen(300, (second) => {
    const framesPassed = 1 + Math.floor(second / 4)
    return { framesPassed, framesWritten: Math.max(0, framesPassed - 3) }
  })
  assert.deepEqual(rare.said, [])
})

test('a camera that pauses altogether is not taken for a microphone that is off', () => {
  const until = (second: number): number => Math.min(second, 100)
  const { said } = seen(200, (second) => ({
    ...{ framesPassed: 25 * until(second), framesWritten: 25 * until(second) },
    soundsWritten: 8 * until(second),
  }))
  assert.deepEqual(said, [])
})
