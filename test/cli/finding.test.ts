import assert from 'node:assert/strict'
import test from 'node:test'
import type { CameraSample } from '../../src/cli/camera-sample.ts'
import { judgeSample } from '../../src/cli/check-camera.ts'
import { checkClock } from '../../src/cli/check-machine.ts'
import type { Camera } from '../../src/recorder/config.ts'
import { findingsText, type Finding } from '../../src/cli/finding.ts'

const camera: Camera = {
  ...{ number: 1, name: 'Front', url: 'rtsp://admin:secret@10.0.0.5/main' },
  transport: 'tcp',
  audio: 'auto',
}

const sample: CameraSample = {
  stream: { video: 'h264', width: 2560, height: 1440, audio: 'aac' },
  ...{ fps: 24.98, bitsPerSecond: 6.14e6, keyframes: 4, keyframeEverySeconds: 2, seconds: 7 },
  sounds: 109,
}

test('what was found is a list with a mark, and how it is in all', () => {
  const findings: Finding[] = [
    { is: 'ok', subject: 'FFmpeg', text: '5.1.9' },
    judgeSample(camera, sample),
    { is: 'warning', subject: 'cameras', text: 'not looked at: mend the settings first' },
    {
      is: 'fault',
      subject: 'S3',
      text: 'AccessDenied: Access Denied (The store denies writing: allow s3:PutObject on the objects.)',
    },
  ]
  assert.equal(
    findingsText(findings),
    `✓ FFmpeg   5.1.9
✓ Front    10.0.0.5:554 sends h264 2560x1440, 25 fps, a keyframe every 2.0 s, 6.1 Mbit/s, aac
! cameras  not looked at: mend the settings first
✗ S3       AccessDenied: Access Denied (The store denies writing: allow s3:PutObject on the
           objects.)

1 fault (✗), 1 warning (!)
`,
  )
  assert.match(findingsText(findings.slice(0, 2)), /\n\nAll is well\.\n$/)
})

test('keyframes that are rare are a warning, seen or not', () => {
  const judge = (keyframes: number, keyframeEverySeconds: number): Finding =>
    judgeSample(camera, { ...sample, keyframes, keyframeEverySeconds })
  assert.match(judge(2, 4.1).text, /a keyframe every 4\.1 s.*I-frame interval/)
  assert.match(judge(1, 7).text, /no second keyframe within 7 s.*I-frame interval/)
  assert.deepEqual([judge(2, 4.1).is, judge(1, 7).is], ['warning', 'warning'])
  assert.deepEqual([judge(2, 4.02).is, judge(1, 3.9).is], ['ok', 'ok'])
  const short = judgeSample(camera, { ...sample, keyframes: 1, seconds: 0.4 })
  assert.doesNotMatch(short.text, /keyframe/)
})

test('a clock is compared with that of the store, where it is known', () => {
  const nowMs = new Date(2025, 5, 1, 12).getTime()
  assert.match(checkClock(nowMs, 30_000).text, /^2025-06-01 12:00:00 .* as that of S3$/)
  assert.deepEqual([checkClock(nowMs, undefined).is, checkClock(0, undefined).is], ['ok', 'fault'])
  const behind = checkClock(nowMs, -3_600_000)
  assert.equal(behind.is, 'fault')
  assert.match(behind.text, /is 60 min behind that of S3.*timedatectl/)
})
