import { rmlp } from "../../reproduce/experiments/rmlp.ts";
import { shortForms } from "./short-forms.ts";

shortForms(rmlp);
