import assert from 'node:assert/strict'
import test from 'node:test'
import { fitTimes, timeOf } from '../../../src/recorder/timing/fit-times.ts'
import { arrivalsOf, simulateFrames, type Scene } from './simulated-run.ts'

test('nothing is fitted to frames of which no arrival is known', () => {
  assert.deepEqual(fitTimes([], []).knots, [])
  assert.deepEqual(fitTimes([1, 2, 3], []).knots, [])
  assert.deepEqual(fitTimes([1, 2, 3], [{ at: 5, index: 7 }]).knots, [])
})

test('a camera with a steady clock takes few knots, however its network jitters', () => {
  for (const jitter of [0, 0.02, 0.1]) {
    const simulated = simulateFrames({ jitter }, 'by picture')
    const times = fitTimes(
      simulated.frames.map(({ stamp }) => stamp),
      arrivalsOf(simulated),
    )
    assert.equal(times.by, 'stamp')
    assert.ok(times.knots.length <= 4, JSON.stringify(times.knots))
  }
})

const doubtful: [title: string, scene: Scene, from: number | undefined][] = [
  [
    'what comes behind a wait may have been delayed, or not',
    { isMissing: (at) => at > 10 && at < 19, stamp: (at) => (at < 15 ? at : at - 9), seconds: 21 },
    19,
  ],
  ['a delay that was made up for is none', { hold: { from: 5, until: 9 }, seconds: 30 }, undefined],
  [
    'a slow catching-up is waited for',
    { hold: { from: 5, until: 15, speed: 1.2 }, seconds: 40 },
    5,
  ],
]
for (const [title, scene, from] of doubtful)
  test(`frames whose times can't be told yet are known: ${title}`, () => {
    const simulated = simulateFrames(scene, 'by timer')
    const { frames } = simulated
    const times = fitTimes(
      frames.map(({ stamp }) => stamp),
      arrivalsOf(simulated),
    )
    const at = times.unsettledFrom === undefined ? undefined : frames[times.unsettledFrom]?.taken
    if (from === undefined) assert.equal(at, undefined)
    else assert.ok(Math.abs((at ?? NaN) - from) < 0.3, String(at))
  })

for (const begin of [1, 5])
  test(`a sender report behind ${begin} frames, before any was seen to come, moves none of them`, () => {
    const stamps = Array.from({ length: 250 }, (_, n) => n * 0.04 + (n < begin ? 0 : 3))
    const arrivals = Array.from({ length: 20 }, (_, n) => ({
      at: 100 + n * 0.48,
      index: 12 * (n + 1),
    }))
    const times = fitTimes(stamps, arrivals)
    for (const index of [0, begin - 1, begin, 100, 200]) {
      const at = timeOf(times, { index, stamp: stamps[index] ?? NaN })
      assert.ok(Math.abs(at - 100 - (index - 12) * 0.04) < 0.05, `frame ${index}: ${at}`)
    }
  })

test('a pause behind the first frame that was seen is none of those', () => {
  const stamps = Array.from({ length: 250 }, (_, n) => n * 0.04 + (n < 1 ? 0 : 3))
  const arrivals = [{ at: 100, index: 0 }]
  for (let n = 1; n < 20; n += 1) arrivals.push({ at: 103 + n * 0.48, index: 12 * n })
  const times = fitTimes(stamps, arrivals)
  const steps = [0, 1].map((index) => timeOf(times, { index, stamp: stamps[index] ?? NaN }))
  assert.ok(Math.abs((steps[1] ?? 0) - (steps[0] ?? 0) - 3) < 0.1, String(steps))
})

test('a few arrivals, one of which was read seconds late, tell no rate', () => {
  const stamps = Array.from({ length: 100 }, (_, n) => 10 + n / 25)
  const arrivals = [
    [0.76, 19],
    [2.95, 73],
    [8.79, 88],
  ].map(([at = 0, index = 0]) => ({ at, index }))
  const times = fitTimes(stamps, arrivals)
  const first = timeOf(times, { index: 0, stamp: 10 })
  assert.ok(Math.abs(first) < 0.2, String(first))
})
