import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { errorsOf, simulateRun, soundErrorsOf, type Scene, type Version } from './simulated-run.ts'

const minute = 60
/** From the first of these moments on the camera has paused until the second. */
const paused =
  (from: number, until: number) =>
  (at: number): boolean =>
    at > from && at < until

/** Scenes, and by how much the time of a frame may be wrong if not by half a second. */
const scenes: [title: string, scene: Scene, mostWrong?: number][] = [
  ['is fine', {}],
  ['has a jittery network', { jitter: 0.3 }],
  ['has a clock that is 2% slow', { stamp: (at) => at * 0.98 }],
  ['has a clock that is 2% fast', { stamp: (at) => at * 1.02 }],
  ['has a clock that is 10% slow', { stamp: (at) => at * 0.9 }],
  ['is held back for 10 s', { hold: { from: 43, until: 53 } }],
  ['is held back over a cut', { hold: { from: 48, until: 58 } }],
  [
    'is held back, with a clock 2% off',
    { hold: { from: 43, until: 53 }, stamp: (at) => at * 1.02 },
  ],
  [
    'is held back, with a clock 10% off',
    { hold: { from: 43, until: 53 }, stamp: (at) => at * 1.1 },
    1.5,
  ],
  ['makes up for a delay at twice the speed', { hold: { from: 43, until: 53, speed: 2 } }],
  ['makes up for a delay slowly', { hold: { from: 43, until: 53, speed: 1.3 } }],
  ...[0.9, 1, 1.1].map((rate): [string, Scene] => [
    `makes up for a delay very slowly, and counts ${rate * 100} where 100 pass`,
    { hold: { from: 43, until: 53, speed: 1.1 }, stamp: (at) => at * rate, seconds: 240 },
  ]),
  [
    'sends two frames a second, and makes up for a delay very slowly',
    { fps: 2, hold: { from: 43, until: 53, speed: 1.05 }, seconds: 340 },
  ],
  ['is late at first', { hold: { from: 0, until: 5 } }],
  ['pauses, while its clock goes on', { isMissing: paused(43, 55) }],
  ['pauses with its clock', { isMissing: paused(43, 55), stamp: (at) => (at < 50 ? at : at - 12) }],
  [
    'pauses with its clock for 1.5 s',
    { isMissing: paused(43, 44.5), stamp: (at) => (at < 44 ? at : at - 1.5) },
  ],
  [
    'pauses with its clock over a cut',
    { isMissing: paused(48.5, 60.2), stamp: (at) => (at < 50 ? at : at - 11.7) },
  ],
  ['sends 2.5 s at a time', { burst: 2.5 }],
  ['sends 4 s at a time', { burst: 4 }],
  ['sends a frame a second', { fps: 1 }],
  ['sends a frame each two seconds', { fps: 0.5 }],
  ['sends a frame a second, and is held back', { fps: 1, hold: { from: 43, until: 53 } }],
  ['counts 84 where 100 pass', { stamp: (at) => at * 0.84 }],
  ['counts half', { stamp: (at) => at / 2 }],
  ['counts double', { stamp: (at) => at * 2 }],
  ['hardly counts', { stamp: (at) => at * 0.05 }],
  ['does not count at all', { stamp: () => 0 }],
  ['does not count, and is held back', { stamp: () => 0, hold: { from: 43, until: 53 } }],
  ...[3600, -3600, 5, -5, -1.4, -0.5].map((jump): [string, Scene] => [
    `jumps by ${jump} s`,
    { stamp: (at) => (at < 43 ? at : at + jump) },
  ]),
  ...[0.5, 0.9].map((jump): [string, Scene, number] => [
    `jumps by ${jump} s`,
    { stamp: (at) => (at < 43 ? at : at + jump) },
    1.5,
  ]),
  ...[0.5, 1, 2, 4].flatMap((fps) =>
    [1, 2, 5, 43].map((frames): [string, Scene] => [
      `sends ${fps} frames a second, and jumps by 2 s behind ${frames}`,
      { fps, stamp: (at, n) => (n < frames ? at : at + 2) },
    ]),
  ),
  ['jumps by 0.9 s each 10 s', { stamp: (at) => at + 0.9 * Math.floor(at / 10) }, 1.5],
  ...[-3600, -3, 0.7, 3, 3600].map((by): [string, Scene] => [
    `is recorded while our own clock is set by ${by} s`,
    { clockSet: { at: 45.02, by } },
  ]),
  ['has stray time stamps', { stamp: (at, n) => (n % 50 === 5 ? at - 9800 : at) }],
  ['has stray time stamps, a little off', { stamp: (at, n) => (n % 10 === 5 ? at - 0.06 : at) }],
]

for (const [title, scene, mostWrong = 0.5] of scenes)
  for (const version of ['by picture', 'by timer'] satisfies Version[])
    test(`the frames of a camera that ${title} have the times when they were taken (${version})`, () => {
      const segments = simulateRun(scene, version)
      const worst = Math.max(...segments.flatMap(errorsOf).map(Math.abs))
      assert.ok(worst <= mostWrong, `off by ${worst} s`)
      assert.ok(segments.length >= 10, String(segments.length))
      const [first, last] = [segments[0]?.times, segments.at(-1)?.times]
      const all = (last?.endMs ?? 0) - (first?.startMs ?? 0)
      const seconds = segments.reduce((sum, { times }) => sum + times.endMs - times.startMs, 0)
      assert.ok(Math.abs(seconds / all - 1) < 0.01, `${seconds} of ${all}`)
      for (const [n, { times }] of segments.slice(1).entries())
        assert.ok(
          Math.abs(times.startMs - (segments[n]?.times.endMs ?? 0)) < 60,
          'no gap, no overlap',
        )
      assert.ok(Math.max(...segments.map(({ times }) => times.picture.length)) < 12)
    })

const sounds: [title: string, scene: Scene, mostWrong?: number][] = [
  ['goes with the picture', { sound: {} }],
  ['is 2% slow', { sound: { stamp: (at) => at * 0.98 } }],
  ['is 2% fast', { sound: { stamp: (at) => at * 1.02 } }],
  ['is 10% slow', { sound: { stamp: (at) => at * 0.9 } }, 1],
  ['counts half', { sound: { stamp: (at) => at / 2 } }],
  ['counts double', { sound: { stamp: (at) => at * 2 } }],
  [
    'begins late, and counts from then',
    { sound: { isMissing: (at) => at < 24, stamp: (at) => at - 24 } },
  ],
  [
    'begins 2 s late, and counts from then',
    { sound: { isMissing: (at) => at < 2, stamp: (at) => at - 2 } },
  ],
  ['pauses for 5 s', { sound: { isMissing: paused(33, 38) } }],
  ['pauses for a minute', { sound: { isMissing: paused(33, 33 + minute) } }],
  [
    'pauses with its clock',
    { sound: { isMissing: paused(33, 38), stamp: (at) => (at < 35 ? at : at - 5) } },
  ],
  ['ends', { sound: { isMissing: (at) => at > 33 } }],
  ...[-3600, 0.7, 3600].map((by): [string, Scene] => [
    `is recorded while our own clock is set by ${by} s`,
    { clockSet: { at: 45.02, by }, sound: {} },
  ]),
  ['goes with a picture of a slow clock', { stamp: (at) => at * 0.84, sound: {} }],
  ['goes with a picture without a clock', { stamp: () => 0, sound: {} }],
  ['goes with a picture that pauses', { isMissing: paused(43, 55), sound: {} }],
  ['is held back with the picture', { hold: { from: 43, until: 53 }, sound: {} }],
  ['goes with a picture that comes 4 s at a time', { burst: 4, sound: {} }],
  ['goes with a frame a second', { fps: 1, sound: {} }],
  ['comes late, as sender reports say', { cameraClock: 1000, sound: { late: 1 } }],
  ['comes late, as sender reports of a right clock say', { cameraClock: 0, sound: { late: 1 } }],
  ['has mad sender reports', { cameraClock: 77, sound: { stamp: (at) => at + 3000 } }],
]

describe('sound', () => {
  for (const [title, scene, mostWrong = 0.3] of sounds)
    for (const version of ['by sound', 'by timer'] satisfies Version[])
      test(`that ${title} is where it belongs beside the picture (${version})`, () => {
        const segments = simulateRun(scene, version)
        // Of the last one some of the sound would come when the picture has ended.
        for (const [n, segment] of segments.slice(0, -1).entries()) {
          const worst = Math.max(0, ...soundErrorsOf(segment).map(Math.abs))
          assert.ok(worst <= mostWrong, `segment ${n}: off by ${worst} s`)
        }
      })
})

test('segments of a camera that makes up for a delay for minutes are closed all the same', () => {
  const seconds = 1000
  const scene = { seconds, hold: { from: 590, until: 600, speed: 1.05 } }
  for (const version of ['by picture', 'by timer'] satisfies Version[]) {
    const segments = simulateRun(scene, version, 60)
    const frames = segments.reduce((sum, { taken }) => sum + taken.length, 0)
    assert.ok(frames >= seconds * 25 - 2, `${frames} frames`)
  }
})
