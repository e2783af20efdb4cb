import { continuousTime } from "../../reproduce/experiments/continuous-time.ts";
import { shortForms } from "./short-forms.ts";

shortForms(continuousTime);
