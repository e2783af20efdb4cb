import { lstmCounting } from "../../reproduce/experiments/lstm-counting.ts";
import { shortForms } from "./short-forms.ts";

shortForms(lstmCounting);
