/** RTP counts video in units of 1/90000 s (RFC 6184, 8.1; RFC 7798, 7.1). */
export const videoTicksPerSecond = 90_000

/** The rate by which the `setts` filter knows a sound stream. */
export const soundTicksPerSecond = 'SR'

/** A step of a second and more between two packets is a jump, of the camera's clock or in the footage. */
const jumpSeconds = 1
/** So long a wait for a packet may be a pause of the camera; shorter ones even out. */
const waitSeconds = 0.25

/**
 * A bitstream filter for a stream whose time stamps may jump, because its camera sets its clock or
 * begins to count anew: it keeps the camera's own steps from packet to packet, which are even, and
 * puts the time that passed here in the place of a jump. Without it FFmpeg waits, or keeps in
 * memory, or squeezes into nothing, what comes after the jump.
 *
 * Time passes here in waits, and the packets that were waited for need not come right after: FFmpeg
 * hands on a frame when the next one comes, an encoder keeps some, and a network delivers what it
 * held back before what was lost shows as a jump. So a wait is kept until steps have used it up.
 *
 * The filter's own TB is not used: FFmpeg 5.1 gives it another unit than that of the packets.
 */
export function steadyTime(ticksPerSecond: number | string, longestPauseMs: number): string {
  const longest = longestPauseMs / 1000
  // Variables: 0 when the last packet was seen, 1 the waiting that no step has used, 2 this wait,
  // 3 the seconds of this step. What is multiplied by 0 is only remembered.
  const begin = '0*(st(2,if(ld(0),time(0)-ld(0),0))+st(0,time(0)))'
  const step = '(DTS-PREV_INDTS)'
  const isEven = `lt(abs(${step}),${jumpSeconds}*${ticksPerSecond})`
  const waited = 'ld(1)+ld(2)'
  // With the camera's own step, where that is possible, it is exact.
  const passed = `min(${longest},if(gt(${step},0),min(${step}/${ticksPerSecond},${waited}),${waited}))`
  const seconds = `if(${isEven},${step}/${ticksPerSecond},max(1/${ticksPerSecond},${passed}))`
  const counted = `if(gte(ld(2),${waitSeconds}),ld(2),min(ld(2),ld(3)))`
  const end = `0*st(1,max(0,min(${longest},ld(1)+${counted}-ld(3))))`
  const next = `PREV_OUTDTS+if(${isEven},${step},ld(3)*${ticksPerSecond})`
  const dts = `${begin}+0*st(3,${seconds})+if(eq(PREV_OUTDTS,NOPTS),DTS,${next})+${end}`
  return `setts=dts=${dts}:pts=${dts}+PTS-DTS`.replaceAll(',', '\\,')
}
