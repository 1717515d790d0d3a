/** RTP counts video in units of 1/90000 s (RFC 6184, 8.1; RFC 7798, 7.1). */
export const videoTicksPerSecond = 90_000

/** The rate by which the `setts` filter knows a sound stream. */
export const soundTicksPerSecond = 'SR'

/** A step of a second and more between two packets is a jump, of the camera's clock or in the footage. */
const jumpSeconds = 1

/**
 * A bitstream filter for a stream whose time stamps may jump, because its camera sets its clock or
 * begins to count anew: it keeps the camera's own steps from packet to packet, which are even, and
 * puts the time that passed here in the place of a jump. Without it FFmpeg waits, or keeps in
 * memory, or squeezes into nothing, what comes after the jump.
 *
 * The filter's own TB is not used: FFmpeg 5.1 gives it another unit than that of the packets.
 */
export function steadyTime(ticksPerSecond: number | string, longestPauseMs: number): string {
  // The filter sees a packet when the next one has arrived; FFmpeg hands on a frame when the next
  // one comes, or once its patience is at half, and gives the one behind that the wrong time. So a
  // camera's pause lies in the last three times between two packets, or in several of them. When
  // the last four were seen is in the variables 0 to 3.
  const waits = [0, 1, 2].map((index) => `ld(${index})-ld(${index + 1})`)
  const [longest, all] = [`max(${waits[0]},max(${waits[1]},${waits[2]}))`, 'ld(0)-ld(3)']
  const step = 'DTS-PREV_INDTS'
  // With the camera's own step, where that is possible, it is exact.
  const isPause = `gt(${step},0)*gte(${all},${jumpSeconds})`
  const seconds = `if(${isPause},min((${step})/${ticksPerSecond},${all}),${longest})`
  const passed = `max(1,min(${longestPauseMs / 1000},${seconds})*${ticksPerSecond})`
  const isEven = `lt(abs(${step}),${jumpSeconds}*${ticksPerSecond})`
  const dts = `if(eq(PREV_OUTDTS,NOPTS),DTS,PREV_OUTDTS+if(${isEven},${step},${passed}))`
  const older = [2, 1, 0].map((index) => `st(${index + 1},if(ld(${index}),ld(${index}),time(0)))`)
  const remember = `0*(${older.join('+')}+st(0,time(0)))`
  return `setts=dts=${dts}+${remember}:pts=${dts}+PTS-DTS+${remember}`.replaceAll(',', '\\,')
}
