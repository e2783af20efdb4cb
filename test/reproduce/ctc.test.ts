import { ctc } from "../../reproduce/experiments/ctc.ts";
import { shortForms } from "./short-forms.ts";

shortForms(ctc);
