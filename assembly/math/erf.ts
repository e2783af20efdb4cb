// Near 0, erf x = x + x·P(x²). Beyond, erf|x| = 1 - e^-Q(|x|), with -Q a polynomial close to log erfc.
//
// The form is N. Juffa's (erff with two branches, 2014-2022); P and Q are minimax fits for erf's relative error,
// by Remez' algorithm: P is good to 2^-25 in f32 and 2^-56 in f64, Q to 2^-30 and 2^-61.
//
// Any x; never beyond ±1.
// Measured by scripts/ulp.mjs, larger of the two builds: float32 1.38 ULP (all arguments), float64 1.03 ULP (40,000 arguments).

import { madd } from "../lanes";
import { calledExp } from "./exp";
import { all, horner, withSign } from "./vector";

// @ts-ignore: decorator
@inline
function near<T>(z: v128): v128 {
  if (sizeof<T>() == 4) {
    let p = all<T>(-0.00059641140833793429237);
    p = horner<T>(p, z, 0.004987976969038890817);
    p = horner<T>(p, z, -0.026763105836891492796);
    p = horner<T>(p, z, 0.11281720597809819938);
    p = horner<T>(p, z, -0.37612484704939653813);
    return horner<T>(p, z, 0.12837914822552581184);
  }
  let p = all<T>(-7.7794510936735139938e-10);
  p = horner<T>(p, z, 1.3710970686911061063e-8);
  p = horner<T>(p, z, -1.6206311412029458578e-7);
  p = horner<T>(p, z, 1.644713125003447176e-6);
  p = horner<T>(p, z, -1.4924712274621540417e-5);
  p = horner<T>(p, z, 1.2055293575395945392e-4);
  p = horner<T>(p, z, -8.5483259292612111237e-4);
  p = horner<T>(p, z, 5.2239776061172904236e-3);
  p = horner<T>(p, z, -2.6866170643111311527e-2);
  p = horner<T>(p, z, 1.1283791670944183618e-1);
  p = horner<T>(p, z, -3.7612638903183519504e-1);
  return horner<T>(p, z, 1.2837916709551256565e-1);
}

// @ts-ignore: decorator
@inline
function logErfc<T>(t: v128): v128 {
  if (sizeof<T>() == 4) {
    let q = all<T>(-1.1527959551295766744e-5);
    q = horner<T>(q, t, 3.2577553095281889686e-4);
    q = horner<T>(q, t, -3.6545526329692350093e-3);
    q = horner<T>(q, t, 2.3787665977288174678e-2);
    q = horner<T>(q, t, -1.0626663340083382441e-1);
    q = horner<T>(q, t, -6.3513330391906138402e-1);
    return v128.mul<T>(t, horner<T>(q, t, -1.12865293099461613));
  }
  let q = all<T>(-2.0143030615052442108e-13);
  q = horner<T>(q, t, 9.9658846749259616323e-12);
  q = horner<T>(q, t, -2.3233143968746356339e-10);
  q = horner<T>(q, t, 3.3928546352141714613e-9);
  q = horner<T>(q, t, -3.4781705095979474403e-8);
  q = horner<T>(q, t, 2.6552513902210482442e-7);
  q = horner<T>(q, t, -1.5593137315110001623e-6);
  q = horner<T>(q, t, 7.1465875580473018292e-6);
  q = horner<T>(q, t, -2.5447714316094021678e-5);
  q = horner<T>(q, t, 6.7782338838885529068e-5);
  q = horner<T>(q, t, -1.1709129634682359548e-4);
  q = horner<T>(q, t, 3.2632880465586894553e-5);
  q = horner<T>(q, t, 5.3797929664086194155e-4);
  q = horner<T>(q, t, -1.659457541252618624e-3);
  q = horner<T>(q, t, 1.8917583449287822463e-4);
  q = horner<T>(q, t, 1.9136573355393669522e-2);
  q = horner<T>(q, t, -1.027749155427851963e-1);
  q = horner<T>(q, t, -6.3661936131518833978e-1);
  return v128.mul<T>(t, horner<T>(q, t, -1.1283792014167391692));
}

/** The error function in every lane, in [-1, 1]. */
export function verf<T>(x: v128): v128 {
  const inner = madd<T>(x, near<T>(v128.mul<T>(x, x)), x);
  // Beyond 4 (6 in f64) erf rounds to 1.
  const t = v128.pmin<T>(v128.abs<T>(x), all<T>(sizeof<T>() == 4 ? 4.0 : 6.0));
  const outer = withSign<T>(v128.sub<T>(all<T>(1.0), calledExp<T>(logErfc<T>(t))), x);
  return v128.bitselect(outer, inner, v128.gt<T>(t, all<T>(sizeof<T>() == 4 ? 0.927734375 : 1.0)));
}
