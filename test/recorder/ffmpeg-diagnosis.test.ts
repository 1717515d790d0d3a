import assert from 'node:assert/strict'
import test from 'node:test'
import type { ChildEnd } from '../../src/daemon/child.ts'
import { diagnose, sayWhyNoVideo, type Diagnosis } from '../../src/recorder/ffmpeg-diagnosis.ts'

const camera = {
  number: 2,
  name: 'Front',
  url: 'rtsp://admin:pass@cam/Preview_01_main',
  transport: 'tcp',
  audio: 'auto',
} as const

const failed = (...lines: string[]): ChildEnd => ({ code: 1, signal: null, lines })

// Lines as FFmpeg 5.1 writes them, and later ones where they differ.
const cases: [ChildEnd, Diagnosis['kind'], RegExp][] = [
  [
    failed('[rtsp @ 0x1] [error] method DESCRIBE failed: 401 Unauthorized'),
    'rejected',
    /check CAMERA_2_URL/,
  ],
  [
    failed('[rtsp @ 0x1] [error] method DESCRIBE failed: 404 Not Found'),
    'not found',
    /no stream \/Preview_01_main/,
  ],
  [
    failed('[tcp @ 0x1] [error] Connection to tcp://cam:554 failed: Connection refused'),
    'refused',
    /^cam:554 refuses/,
  ],
  [
    failed('[tcp @ 0x1] [error] Connection to tcp://other:80?timeout=1 failed: Connection refused'),
    'refused',
    /^other:80, to which cam:554 leads, refuses/,
  ],
  [
    failed('[tcp @ 0x1] [error] Failed to resolve hostname cam: Name or service not known'),
    'unknown host',
    /no such host as cam/,
  ],
  [
    failed('[tcp @ 0x1] [error] Connection to tcp://cam:554 failed: Connection timed out'),
    'no answer',
    /ping/,
  ],
  [failed('[error] pipe:0: No route to host'), 'no answer', /is the camera on/],
  [
    failed('[rtsp @ 0x1] [error] method DESCRIBE failed: 453 Not Enough Bandwidth'),
    'busy',
    /^cam:554 serves no further session: another program/,
  ],
  [
    failed('[rtsp @ 0x1] [error] method DESCRIBE failed: 453Not Enough Bandwidth'),
    'busy',
    /end that/,
  ],
  [failed('[rtsp @ 0x1] [error] method SETUP failed: 453 (Not Enough Bandwidth)'), 'busy', /NVR/],
  [
    failed(
      '[rtsp @ 0x1] [warning] Failed reading RTSP data: Connection timed out',
      '[rtsp @ 0x1] [warning] Could not find codec parameters for stream 0 (Video: h264, none): unspecified size',
    ),
    'no video',
    /sends no video yet on \/Preview_01_main/,
  ],
  [
    failed('[flv @ 0x1] [warning] Video codec (c) is not implemented. Update your FFmpeg version'),
    'no video',
    /cannot read the video in this FLV, H\.265 probably: choose H\.264/,
  ],
  [failed("[fatal] Stream map '0:v:0' matches no streams."), 'no video', /sends no video/],
  [
    failed('[error] av_interleaved_write_frame(): No space left on device'),
    'disk full',
    /make room/,
  ],
  [
    failed("[segment @ 0x1] [error] Failed to open segment '/x/open/a.mp4'"),
    'folder',
    /recordings\/open\//,
  ],
  [
    failed(
      "[sdp @ 0x1] [error] Format not on whitelist 'rtsp,mpegts'",
      '[error] pipe:0: Invalid argument',
    ),
    'format',
    /format sdp, which is not recorded over RTSP.*CAMERA_2_URL, or choose one of rtsp, mpegts /,
  ],
  [
    failed("[file @ 0x1] [error] Protocol 'file' not on whitelist 'pipe,fd,http'!"),
    'format',
    /^cam:554 names a file: address/,
  ],
  [
    failed('setpriv: failed to execute ffmpeg: No such file or directory'),
    'program missing',
    /setup\.sh/,
  ],
  [
    failed(
      "[concat @ 0x1] [error] Line 3: unknown keyword 'option'",
      'pipe:0: Invalid data found when processing input',
    ),
    'program missing',
    /older than 5\.1/,
  ],
  [
    {
      code: 0,
      signal: null,
      lines: ['[h264 @ 0x1] [error] Invalid data found when processing input'],
    },
    'closed',
    /closed the connection/,
  ],
  [{ code: null, signal: 'SIGKILL', lines: ['[error] Invalid data found'] }, 'killed', /SIGKILL/],
  [failed('[error] something new'), 'other', /exited with 1: .*something new/],
]

for (const [end, kind, text] of cases)
  test(`an FFmpeg that says "${end.lines[0]}" ended for: ${kind}`, () => {
    const diagnosis = diagnose(camera, end)
    assert.equal(diagnosis.kind, kind)
    assert.match(diagnosis.text, text)
  })

test('an FFmpeg that ends in order ended for silence only where no video had come for a while', () => {
  const end = { code: 0, signal: null, lines: ['[error] pipe:0: Connection timed out'] }
  assert.equal(diagnose(camera, end, true).kind, 'silent')
  assert.equal(diagnose(camera, end, false).kind, 'closed')
})

test('where no video has come it is said over what, and what to set', () => {
  const flv = [
    '[flv @ 0x1] [warning] Video codec (c) is not implemented. Update your FFmpeg version',
  ]
  assert.match(sayWhyNoVideo(camera, []), /sends no video yet on \/Preview/)
  assert.match(sayWhyNoVideo(camera, flv), /H\.265 probably/)
  const overUdp = { ...camera, transport: 'udp' } as const
  const set = /from cam:554 over UDP: set CAMERA_2_TRANSPORT=tcp/
  assert.match(sayWhyNoVideo(overUdp, []), set)
})
